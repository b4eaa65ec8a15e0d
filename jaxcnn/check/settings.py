"""Checks of settings: numbers, words, functions, and sequences of them."""

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxcnn.sizes import known, surely

_LARGEST = 2**63 - 1  # of the integers that JAX knows
_LINE = 100  # letters of a value that a message repeats


def shown(value: Any) -> str:
    """The value in one short line of a message; by its kind if it is large or has no spelling."""
    size = getattr(value, "shape", None)
    if isinstance(size, tuple) and not isinstance(value, np.generic):
        return f"an array of shape {size}"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    plain = len(text) <= _LINE and "\n" not in text and " at 0x" not in text
    return text if plain else type(value).__name__


def integer(op: str, name: str, value: Any, *, minimum: int | None = None) -> int:
    """The value as a Python int, or a symbol of `jax.export`, at least `minimum`."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = index(value) if known(value) else value
    except TypeError:
        raise TypeError(f"{op}: {name} must be an integer, got {shown(value)}") from None
    if minimum is not None and surely(lambda: number < minimum):
        raise ValueError(f"{op}: {name} must be at least {minimum}, got {shown(number)}")
    if known(number) and abs(number) > _LARGEST:
        raise ValueError(f"{op}: {name} must fit into 64 bits, got {shown(number)}")
    return number


def known_sizes(op: str, what: str, sizes: Sequence[int]) -> None:
    """Refuse symbols of `jax.export` where the program itself depends on the sizes."""
    symbols = [str(size) for size in sizes if not known(size)]
    if symbols:
        raise ValueError(f"{op}: {what} needs sizes that are numbers, got {', '.join(symbols)}")


def is_sequence(value: Any) -> bool:
    """Whether the value is a sequence; text and arrays do not count."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def integers(
    op: str, name: str, value: Any, *, count: int | None = None, minimum: int | None = 1
) -> tuple[int, ...]:
    """A sequence of integers, `count` of them or any number."""
    if not is_sequence(value):
        raise TypeError(f"{op}: {name} must be a sequence of integers, got {shown(value)}")
    if count is not None and len(value) != count:
        raise ValueError(f"{op}: {name} must hold {count} integers, got {shown(value)}")
    return tuple(integer(op, name, entry, minimum=minimum) for entry in value)


def per_axis(op: str, name: str, value: Any, axes: int, *, minimum: int = 1) -> tuple[int, ...]:
    """One integer per spatial axis, from a single integer or a sequence of them."""
    if not is_sequence(value):
        return (integer(op, name, value, minimum=minimum),) * axes
    if len(value) != axes:
        raise ValueError(
            f"{op}: {name} must be an integer or one per spatial axis ({axes}), got {shown(value)}"
        )
    return tuple(integer(op, name, entry, minimum=minimum) for entry in value)


def sizes(op: str, name: str, value: Any, *, minimum: int = 1) -> int | tuple[int, ...]:
    """An integer, or one per spatial axis, however many axes there are."""
    if not is_sequence(value):
        return integer(op, name, value, minimum=minimum)
    if not 1 <= len(value) <= 3:
        raise ValueError(
            f"{op}: {name} must be an integer or one per spatial axis (1 to 3), got {shown(value)}"
        )
    return integers(op, name, value, minimum=minimum)


def axes(op: str, name: str, value: Any) -> tuple[int, ...]:
    """One axis or several, counted from either end."""
    return integers(op, name, value if is_sequence(value) else (value,), minimum=None)


def axis_name(op: str, name: str, value: Any) -> str | tuple[str, ...]:
    """The name of a mapped axis, or several."""
    if isinstance(value, str):
        return value
    if not is_sequence(value) or not all(isinstance(entry, str) for entry in value):
        raise TypeError(f"{op}: {name} must be a name or several, got {shown(value)}")
    return tuple(value)


def boolean(op: str, name: str, value: Any) -> bool:
    """True or False, and not merely something that counts as one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{op}: {name} must be True or False, got {shown(value)}")
    return bool(value)


def choice(op: str, name: str, value: Any, choices: Sequence[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{op}: {name} must be one of {', '.join(choices)}, got {shown(value)}")
    return value


def positive(op: str, name: str, value: Any) -> float:
    """A finite number above 0."""
    given = _plain_number(op, name, value)
    if not 0 < given < np.inf:
        raise ValueError(f"{op}: {name} must be finite and above 0, got {shown(value)}")
    return given


def probability(op: str, name: str, value: Any) -> float:
    """A number in [0, 1]."""
    given = _plain_number(op, name, value)
    if not 0 <= given <= 1:
        raise ValueError(f"{op}: {name} must lie in [0, 1], got {shown(value)}")
    return given


def number(op: str, name: str, value: Any, *, minimum: float | None = None) -> float:
    """A finite number, at least `minimum`."""
    given = _plain_number(op, name, value)
    if not np.isfinite(given):
        raise ValueError(f"{op}: {name} must be finite, got {shown(value)}")
    if minimum is not None and given < minimum:
        raise ValueError(f"{op}: {name} must be at least {minimum:g}, got {shown(value)}")
    return given


def _plain_number(op: str, name: str, value: Any) -> float:
    """A Python float; an integer that none can hold is infinite."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be a number, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def precision(op: str, value: Any) -> Any:
    """A precision of products, one for each factor, or None: the platform's own.

    None is read here as `jax.default_matmul_precision` says, so that a backward pass, which is
    traced later and perhaps elsewhere, has the precision of its forward pass.
    """
    value = jax.default_matmul_precision.value if value is None else value
    if value is None or isinstance(value, (lax.DotAlgorithm, lax.DotAlgorithmPreset)):
        return value
    if isinstance(value, str) and value in lax.DotAlgorithmPreset.__members__:
        return lax.DotAlgorithmPreset[value]
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    try:
        if len(pair) != 2 or not all(isinstance(entry, (str, lax.Precision)) for entry in pair):
            raise ValueError
        return tuple(lax.Precision(entry) for entry in pair)
    except ValueError:
        raise ValueError(
            f"{op}: precision must be None, one of jax.lax.Precision, its name, or a pair of these "
            f"for the two factors, got {shown(value)}"
        ) from None


def function(op: str, name: str, value: Any) -> None:
    """Raise unless the value can be called."""
    if not callable(value):
        raise TypeError(f"{op}: {name} must be a function, got {shown(value)}")


def rule(op: str, value: Any) -> Callable[..., Any]:
    """The map that an operation is to apply."""
    function(op, "rule", value)
    return value


def functions(op: str, **given: Any) -> None:
    """Raise unless all of these, by the names of the arguments, can be called."""
    for name, value in given.items():
        function(op, name, value)


def rules(op: str, **given: Any) -> None:
    """Raise unless all of these are rules, which say how they are differentiated."""
    for name, value in given.items():
        if not hasattr(value, "defjvps"):
            raise TypeError(f"{op}: {name} must be a custom_rule, got {shown(value)}")
