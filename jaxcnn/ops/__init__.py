"""The calculus: forward, residuals, backward, side by side; one file per family."""

from collections.abc import Callable
from inspect import signature
from typing import Any


def rule_of(op: Callable[..., Any]) -> Callable[..., Any]:
    """The rule that a public operation applies: the default of its argument `rule`.

    Raises:
        TypeError: op is no public operation of jaxcnn.
    """
    parameter = signature(op).parameters.get("rule") if callable(op) else None
    if parameter is None or not callable(parameter.default):
        raise TypeError(f"rule_of: op must be a public operation of jaxcnn, got {op!r}")
    return parameter.default
