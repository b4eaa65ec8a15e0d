"""The calculus: forward, residuals, backward, side by side; one file per family."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from jaxcnn import check


def is_operation(op: Any) -> bool:
    """Whether this is a public operation: a function with a rule for its argument `rule`."""
    return _default(op) is not None


def rule_of(op: Callable[..., Any], name: str = "rule_of: op") -> Callable[..., Any]:
    """The rule that a public operation applies: the default of its argument `rule`.

    Args:
        op: the operation.
        name: what an error is to call it.

    Raises:
        TypeError: op is no public operation of jaxcnn.
    """
    rule = _default(op)
    if rule is None:
        raise TypeError(f"{name} must be a public operation of jaxcnn, got {check.shown(op)}")
    return rule


def _default(op: Any) -> Callable[..., Any] | None:
    try:
        parameter = signature(op).parameters.get("rule")
    except (TypeError, ValueError):  # no function, or a built-in one
        return None
    return parameter.default if parameter is not None and callable(parameter.default) else None
