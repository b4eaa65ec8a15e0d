"""What flows along the edges of a graph: arrays, numbers known beforehand, and maps.

A NumPy array is known before the program runs: shapes, and what is computed from them. Maps are
kept with their channels last, as the rules have them, from one operator that wants them so to the
next; a transpose is made only where a graph reads them otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, dtypes


@dataclass(frozen=True)
class Maps:
    """Maps whose channels stand last, where the file has them after the batch."""

    last: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the array has in the file."""
        n, *space, c = self.last.shape
        return (n, c, *space)

    @property
    def ndim(self) -> int:
        """How many axes the array has."""
        return self.last.ndim

    @property
    def dtype(self) -> Any:
        """The dtype of the array."""
        return self.last.dtype


def plain(value: Any) -> Any:
    """The array with its axes as the file has them."""
    return jnp.moveaxis(value.last, -1, 1) if isinstance(value, Maps) else value


def channels_last(value: Any) -> Array:
    """The array with its channels last."""
    return value.last if isinstance(value, Maps) else jnp.moveaxis(jnp.asarray(value), 1, -1)


def known(*values: Any) -> bool:
    """Whether all of these are numbers known beforehand."""
    return all(value is None or isinstance(value, np.ndarray) for value in values)


def library(*values: Any) -> Any:
    """NumPy where everything is known beforehand, JAX otherwise."""
    return np if known(*values) else jnp


def aligned(values: Sequence[Any], rank: int) -> list[Any]:
    """Values with as many axes each, as broadcasting adds them; numbers stay numbers."""
    return [
        value
        if value.ndim in (0, rank)
        else value.reshape((1,) * (rank - value.ndim) + value.shape)
        for value in values
    ]


def is_float(value: Any) -> bool:
    """Whether the value is an array of floats."""
    return value is not None and jnp.issubdtype(value.dtype, jnp.floating)


def as_floats(value: Any) -> Any:
    """Integers as floats: of 64 bits, if JAX may have them, where 24 digits may not hold them."""
    if is_float(value):
        return value
    return value.astype(dtypes.canonicalize_dtype(np.promote_types(value.dtype, np.float32)))
