"""Sums of half-precision products are accumulated in float32 and rounded once, at the end."""

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike


def accumulator(dtype: DTypeLike) -> jnp.dtype:
    """The dtype in which sums of `dtype` are formed: float32 for halves, else `dtype` itself."""
    dtype = jnp.dtype(dtype)
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else dtype


def widen(x: Array) -> Array:
    """X in the dtype in which its sums are to be formed."""
    return narrow(x, accumulator(x.dtype))


def narrow(x: Array, dtype: DTypeLike) -> Array:
    """X in that dtype; itself where it has it: a conversion would make a weak type a strong one."""
    return x if x.dtype == dtype else x.astype(dtype)
