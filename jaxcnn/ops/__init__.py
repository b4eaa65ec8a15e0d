"""The calculus, one file per family: a rule, and at once the public function that applies it.

The public function says the formula, the backward pass and the source; its rule says them only if
no public function does. What holds for all public functions is said once, here.

An array's shape is in the signature: n examples, *hw or *pq the 1 to 3 axes of space, c or d the
channels; `delta` is the gradient at a result. A bias or another array that is None is left out.
`reduction` makes one number of the losses of the examples, "mean" or "sum"; "none" leaves them.
`rule` is the map to apply: the hand-written one, the default, or a twin of the same signature.
Arguments are checked before anything is computed. TypeError: an array is not of floats, or not of
the dtype of the first one; a setting is not of its kind, a number, an integer, a bool, a key.
ValueError: ranks, shapes, channels or sizes do not fit together, or a number is outside its range.
Under "Raises" a docstring names what needs to be known besides.
"""

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
