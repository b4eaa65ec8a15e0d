"""Sums of half-precision products are accumulated in float32 and rounded once, at the end.

Products may be asked for of factors that are rounded first, to bfloat16, as JAX calls it
"BF16_BF16_F32". On a CPU XLA takes no notice of that; so factors are rounded here, and whatever
computes the products, exact in float32, computes these.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

# The precision of products whose factors are rounded already: whatever is fast, since every one
# keeps eight bits of each factor.
EXACT_ENOUGH = (lax.Precision.DEFAULT, lax.Precision.DEFAULT)


def accumulator(dtype: DTypeLike) -> jnp.dtype:
    """The dtype in which sums of `dtype` are formed: float32 for halves, else `dtype` itself."""
    dtype = jnp.dtype(dtype)
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else dtype


def widen(x: Array) -> Array:
    """The array in the dtype in which its sums are to be formed."""
    return narrow(x, accumulator(x.dtype))


def narrow(x: Array, dtype: DTypeLike) -> Array:
    """The array in that dtype; x itself if it has it: a conversion makes weak types strong."""
    return x if x.dtype == dtype else x.astype(dtype)


def of_halves(precision: Any) -> bool:
    """Whether products are to be those of factors rounded to bfloat16."""
    return precision in (lax.DotAlgorithmPreset.BF16_BF16_F32, "BF16_BF16_F32")


def rounded(*factors: Array) -> tuple[Array, ...]:
    """The factors, each in its dtype but with the bits of a bfloat16: errors are 2⁻⁸ at most.

    By an operation made for it: XLA may leave out a conversion there and back.
    """
    return tuple(lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7) for x in factors)


def as_halves(*factors: Array) -> tuple[Array, ...]:
    """Rounded factors as bfloat16, if their products are summed in float32: XLA has fast ones."""
    wide = accumulator(factors[0].dtype) != jnp.float32
    return factors if wide else tuple(narrow(x, jnp.dtype(jnp.bfloat16)) for x in factors)
