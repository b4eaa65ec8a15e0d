"""Argument checks shared by all operations: one sentence that names the argument and both values.

They run on shapes and dtypes, which are known while tracing too, so a mistake is reported where it
is made and not from inside the compiler.
"""

from collections.abc import Sequence
from operator import index
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer

from jaxcnn.sizes import known, surely

_LARGEST = 2**63 - 1  # of the integers that JAX knows
_LINE = 100  # letters of a value that a message repeats


def _array(op: str, name: str, value: Any) -> Array:
    """The value as a JAX array; lists and other objects are refused, as everywhere in JAX."""
    is_array = isinstance(value, (jax.Array, np.ndarray, np.generic, float, int))
    if not is_array and not hasattr(value, "__jax_array__"):
        raise TypeError(f"{op}: {name} must be an array, got {type(value).__name__}")
    if isinstance(value, np.ndarray) and not holds_numbers(value):
        raise TypeError(f"{op}: {name} must be an array of numbers, got dtype {value.dtype}")
    if type(value) is int:
        integer(op, name, value)  # one that no array holds
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
    """Integers of a dtype that counts at least to what an axis may hold, and more than a nibble."""
    return array.astype(jnp.int32) if jnp.iinfo(array.dtype).bits < 32 else array


def rank(op: str, name: str, array: Array, expected: int, axes: str) -> None:
    """Raise unless the array has the expected number of axes; `axes` spells them out."""
    if array.ndim != expected:
        raise ValueError(
            f"{op}: {name} must have {expected} axes ({axes}), "
            f"got {array.ndim} with shape {array.shape}"
        )


def shape(op: str, name: str, array: Array, expected: Sequence[int]) -> None:
    """Raise unless the array has the expected shape."""
    if array.shape != tuple(expected):
        raise ValueError(f"{op}: {name} must have shape {tuple(expected)}, got {array.shape}")


def shown(value: Any) -> str:
    """The value in one short line of a message: what is large or has no spelling by its kind."""
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


def is_sequence(value: Any) -> bool:
    """Whether the value has entries in an order; text and arrays do not count."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def integers(
    op: str, name: str, value: Any, *, count: int | None = None, minimum: int | None = 1
) -> tuple[int, ...]:
    """A sequence of integers: so many of them, or any number."""
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


def channels(op: str, name: str, array: Array) -> int:
    """The number of channels: the size of the last axis, which there must be."""
    if not array.ndim:
        raise ValueError(f"{op}: {name} must have an axis of channels, got shape ()")
    return array.shape[-1]


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


def boolean(op: str, name: str, value: Any) -> bool:
    """True or False, and not merely something that counts as one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{op}: {name} must be True or False, got {shown(value)}")
    return bool(value)


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


def number(
    op: str, name: str, value: Any, *, minimum: float | None = None, positive: bool = False
) -> float:
    """A finite number, at least `minimum` or above zero."""
    given = _plain_number(op, name, value)
    if not np.isfinite(given):
        raise ValueError(f"{op}: {name} must be finite, got {shown(value)}")
    if minimum is not None and given < minimum:
        raise ValueError(f"{op}: {name} must be at least {minimum:g}, got {shown(value)}")
    if positive and given <= 0:
        raise ValueError(f"{op}: {name} must be positive, got {shown(value)}")
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


def function(op: str, name: str, value: Any) -> None:
    """Raise unless the value can be called."""
    if not callable(value):
        raise TypeError(f"{op}: {name} must be a function, got {shown(value)}")


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
