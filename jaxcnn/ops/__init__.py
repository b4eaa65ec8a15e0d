"""The calculus: forward, residuals, backward, side by side; one file per family."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from jaxcnn import check


def rule_of(op: Callable[..., Any], name: str = "rule_of: op") -> Callable[..., Any]:
    """The rule that a public operation applies: the default of its argument `rule`.

    Args:
        op: the operation.
        name: what an error is to call it.

    Raises:
        TypeError: op is no public operation of jaxcnn.
    """
    try:
        parameter = signature(op).parameters.get("rule")
    except (TypeError, ValueError):  # no function, or a built-in one
        parameter = None
    if parameter is None or not callable(parameter.default):
        raise TypeError(f"{name} must be a public operation of jaxcnn, got {check.shown(op)}")
    return parameter.default
