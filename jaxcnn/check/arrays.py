"""Checks of arrays: their kind, dtype, axes and, where they are known, values."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from jaxcnn.check.settings import axes, integer, shown


def _array(op: str, name: str, value: Any) -> Array:
    """The value as a JAX array; lists and other objects are refused, as everywhere in JAX."""
    if isinstance(value, jax.Array):
        return value
    is_array = isinstance(value, (np.ndarray, np.generic, float, int))
    if not is_array and not hasattr(value, "__jax_array__"):
        raise TypeError(f"{op}: {name} must be an array, got {type(value).__name__}")
    if isinstance(value, np.ndarray) and not holds_numbers(value):
        raise TypeError(f"{op}: {name} must be an array of numbers, got dtype {value.dtype}")
    if isinstance(value, np.ndarray):  # with the other byte order, as in files
        value = value.astype(value.dtype.newbyteorder("="), copy=False)
    if type(value) is int:
        integer(op, name, value)  # which refuses one that no array holds
    return jnp.asarray(value)


def holds_numbers(value: Any) -> bool:
    """Whether the value is an array of numbers, or the shape of one."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return hasattr(value, "shape") and kind != "" and kind in "fciubV"


def float_array(op: str, name: str, value: Any, *, like: tuple[str, Array] | None = None) -> Array:
    """The value as a non-empty array of floats, of the same dtype as `like` = (name, array)."""
    array = _array(op, name, value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{op}: {name} must hold floating-point numbers, got dtype {array.dtype}; "
            f"convert it first, for example with {name}.astype(jnp.float32)"
        )
    if like is not None and array.dtype != like[1].dtype:
        raise TypeError(
            f"{op}: {name} must have the dtype of {like[0]}, {like[1].dtype}, got {array.dtype}"
        )
    if array.size == 0:
        raise ValueError(f"{op}: {name} must not be empty, got shape {array.shape}")
    return array


def parameter(
    op: str, name: str, value: Any, like: tuple[str, Array], expected: Sequence[int]
) -> Array | None:
    """An array of that shape, and of the dtype of `like` = (name, array); None as it is."""
    if value is None:
        return None
    array = float_array(op, name, value, like=like)
    shape(op, name, array, expected)
    return array


def maps(op: str, name: str, value: Any) -> Array:
    """The value as a float array of maps: batch, 1 to 3 axes of space, channels."""
    array = float_array(op, name, value)
    if array.ndim not in (3, 4, 5):
        raise ValueError(
            f"{op}: {name} must have 3, 4 or 5 axes (batch, 1 to 3 of space, channels), "
            f"got {array.ndim} with shape {array.shape}"
        )
    return array


def integer_array(op: str, name: str, value: Any) -> Array:
    """The value as an array of integers."""
    array = _array(op, name, value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{op}: {name} must hold integers, got dtype {array.dtype}")
    return array


def counting(array: Array) -> Array:
    """The integers in a dtype that can number any axis, which 4, 8 and 16 bits cannot."""
    return array.astype(jnp.int32) if jnp.iinfo(array.dtype).bits < 32 else array


def rank(op: str, name: str, array: Array, expected: int, axes: str) -> None:
    """Raise unless the array has the expected number of axes; `axes` spells them out."""
    if array.ndim != expected:
        raise ValueError(
            f"{op}: {name} must have {expected} axes ({axes}), "
            f"got {array.ndim} with shape {array.shape}"
        )


def at_least(op: str, name: str, array: Array, count: int, axes: str) -> None:
    """Raise unless the array has that many axes or more; `axes` spells them out."""
    if array.ndim < count:
        raise ValueError(
            f"{op}: {name} must have at least {count} axes ({axes}), "
            f"got {array.ndim} with shape {array.shape}"
        )


def divisor(op: str, name: str, value: Any, array: Array) -> int:
    """Into how many equal parts the channels of x fall."""
    number = integer(op, name, value, minimum=1)
    if channels(op, "x", array) % number:
        raise ValueError(
            f"{op}: {name} must divide the channels of x, got {number} for shape {array.shape}"
        )
    return number


def shape(op: str, name: str, array: Array, expected: Sequence[int]) -> None:
    """Raise unless the array has the expected shape."""
    if array.shape != tuple(expected):
        raise ValueError(f"{op}: {name} must have shape {tuple(expected)}, got {array.shape}")


def broadcasts(op: str, name: str, array: Array, expected: Sequence[int]) -> None:
    """Raise unless the array, repeated along axes that it lacks or has one element of, fits."""
    found, last = array.shape, tuple(expected)[len(expected) - array.ndim :]
    if len(found) != len(last) or any(h not in (1, m) for h, m in zip(found, last, strict=True)):
        raise ValueError(
            f"{op}: {name} must have a shape that broadcasts to {tuple(expected)}, got {found}"
        )


def channels(op: str, name: str, array: Array) -> int:
    """The number of channels: the size of the last axis, which there must be."""
    if not array.ndim:
        raise ValueError(f"{op}: {name} must have an axis of channels, got shape ()")
    return array.shape[-1]


def axis(op: str, array: Array, value: Any) -> int:
    """The axis, counted from the front."""
    number = integer(op, "axis", value)
    if not array.ndim:
        raise ValueError(f"{op}: x must have an axis, got shape ()")
    if not -array.ndim <= number < array.ndim:
        raise ValueError(
            f"{op}: axis must lie in [{-array.ndim}, {array.ndim}) for shape {array.shape}, "
            f"got {number}"
        )
    return number % array.ndim


def last_axes(op: str, size: Sequence[int], value: Any) -> tuple[int, ...]:
    """The last axis of an array of that shape, or the last ones, counted from the front."""
    if not size:
        raise ValueError(f"{op}: x must have an axis, got shape ()")
    numbers = axes(op, "axes", value)
    found = tuple(sorted(number + len(size) if number < 0 else number for number in numbers))
    first = len(size) - len(found)
    if not found or first < 0 or found != tuple(range(first, len(size))):
        raise ValueError(
            f"{op}: axes must be the last ones, as -1 or (-2, -1), "
            f"got {shown(value)} for shape {tuple(size)}"
        )
    return found


def key(op: str, name: str, value: Any) -> None:
    """Raise unless the value is one key of jax.random, of the new or the old kind.

    One of the old kind has as many numbers as the implementation wants that is the default here.
    """
    dtype, size = getattr(value, "dtype", None), getattr(value, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    # A function of its own each time: a cached trace does not know that the default has changed.
    old = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    if not (typed and size == ()) and (dtype, size) != (old.dtype, old.shape):
        raise TypeError(
            f"{op}: {name} must be one key of jax.random, as jax.random.key(0), "
            f"got {type(value).__name__ if dtype is None else f'shape {size} of {dtype}'}"
        )


def parse_dtype(value: Any) -> np.dtype | None:
    """The dtype that the value names; an array names none."""
    is_array = isinstance(getattr(value, "shape", None), tuple) and not isinstance(value, np.dtype)
    try:
        return None if is_array else jnp.dtype(value)
    except TypeError:
        return None


def float_dtype(op: str, name: str, value: Any) -> None:
    """Raise unless the value names a dtype of floats."""
    dtype = parse_dtype(value)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{op}: {name} must be a dtype of floats, got {shown(value)}")


def labels(
    op: str, name: str, value: Any, outputs: Sequence[int], ignore_index: int | None
) -> Array:
    """Integers, one for each row of such outputs: a class of theirs or the one left out."""
    array = integer_array(op, name, value)
    shape(op, name, array, outputs[:-1])
    judged = array
    if ignore_index is not None:
        limits = jnp.iinfo(array.dtype)
        if not limits.min <= ignore_index <= limits.max:
            raise ValueError(
                f"{op}: ignore_index must be a number that {name} can hold, {array.dtype}, "
                f"got {ignore_index}"
            )
        judged = jnp.where(array == ignore_index, jnp.zeros_like(array), array)
    concrete_range(op, name, judged, 0, outputs[-1] - 1)
    return array


def concrete_range(op: str, name: str, array: Array, low: float, high: float) -> None:
    """Raise if a concrete array leaves [low, high]; what is only traced cannot be looked at."""
    if isinstance(array, Tracer) or not array.is_fully_addressable:
        return
    values = np.asarray(array)
    if jnp.issubdtype(array.dtype, jnp.integer) and values.dtype.itemsize < 4:
        values = values.astype(np.int32)  # a nibble cannot be compared with what it does not hold
    outside = ~((values >= low) & (values <= high))
    if outside.any():
        position = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(
            f"{op}: {name} must lie in [{low:g}, {high:g}], "
            f"got {values[position]} at index {position}"
        )
