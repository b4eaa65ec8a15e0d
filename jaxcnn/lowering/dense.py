"""Matrix products with half-precision sums accumulated in float32.

`jax.default_matmul_precision` says whether factors are rounded to bfloat16 first.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxcnn.lowering.places import in_one_lane, long_sum, on_a_cpu
from jaxcnn.lowering.precision import (
    EXACT_ENOUGH,
    accumulator,
    as_halves,
    of_halves,
    rounded,
    widen,
)
from jaxcnn.lowering.sharding import declared
from jaxcnn.sizes import surely

# How many times larger than the maps a large weight is, at least.
TIMES_LARGER = 8


def matmul(x: Array, weight: Array) -> Array:
    """... c, c d → ... d."""
    x, weight = _factors(x, weight)
    if weight.shape[1] == 1:
        return matmul_transposed(x, weight.T)
    contract = partial(_contract, axes_a=(x.ndim - 1,), axes_b=(0,))
    if math.prod(x.shape[:-1]) == 1 and in_one_lane(x.shape[-1], 1, weight.shape[1]):
        contract = partial(on_a_cpu, cpu=_of_one_row, default=contract)
    return declared(contract, lambda x, w: (*x[:-1], w[1]), x, weight)


def matmul_transposed(delta: Array, weight: Array) -> Array:
    """δ Wᵀ: ... d, c d → ... c."""
    delta, weight = _factors(delta, weight)
    rows, product = math.prod(delta.shape[:-1]), _by_columns
    if 1 in (rows, weight.shape[0]) and in_one_lane(delta.shape[-1], rows, weight.shape[0]):
        product = partial(on_a_cpu, cpu=_by_elements, default=_by_columns)
    elif _is_large(rows, *weight.shape):
        product = partial(on_a_cpu, cpu=_by_rows, default=_by_columns)
    return declared(product, lambda d, w: (*d[:-1], w[0]), delta, weight)


def weight_grad(x: Array, delta: Array) -> Array:
    """xᵀ δ, summed over every leading axis: ... c, ... d → c d."""
    x, delta = _factors(x, delta)
    leading = tuple(range(x.ndim - 1))
    contract = partial(_contract, axes_a=leading, axes_b=leading)
    if in_one_lane(math.prod(x.shape[:-1]), x.shape[-1], delta.shape[-1]):
        contract = partial(on_a_cpu, cpu=_in_parts, default=contract)
    return declared(contract, lambda x, d: (x[-1], d[-1]), x, delta)


def weighted_sum(x: Float[Array, "*n"], weight: Float[Array, "*c"]) -> Float[Array, "*m"]:
    """y = Σ γ•x over the last axes, those of γ: ... c, c → ...

    As a product of matrices it reads γ once; as a sum, XLA's CPU backend writes γ out per example.
    """
    if in_one_lane(weight.size, 1, 1):
        return weighted_sum_by_elements(x, weight)
    return on_a_cpu(x, weight, cpu=_as_product, default=weighted_sum_by_elements)


def weighted_sum_by_elements(x: Array, weight: Array) -> Array:
    """The same, as the formula has it."""
    return (x * jnp.broadcast_to(weight, x.shape)).sum(range(x.ndim - weight.ndim, x.ndim))


def gains(rows: int, c: int, d: int) -> bool:
    """Whether one of a dense layer's three products is computed in another way than by `lax`."""
    return (
        in_one_lane(rows, c, d)
        or (rows == 1 and in_one_lane(c, 1, d))
        or (1 in (rows, c) and in_one_lane(d, rows, c))
        or _is_large(rows, c, d)
    )


def _is_large(rows: int, c: int, d: int) -> bool:
    """Whether a weight is so much larger than the maps that it should not be transposed."""
    return surely(lambda: c * d >= TIMES_LARGER * rows * (c + d))


def _in_parts(x: Array, delta: Array) -> Array:
    return long_sum(x, delta).astype(x.dtype)


def _of_one_row(x: Array, weight: Array) -> Array:
    """x W for a single row x: a sum over the rows of W."""
    return _in_parts(x.reshape(-1, 1), weight).reshape(*x.shape[:-1], weight.shape[1])


def _by_columns(delta: Array, weight: Array) -> Array:
    return _contract(delta, weight, axes_a=(delta.ndim - 1,), axes_b=(1,))


def _by_rows(delta: Array, weight: Array) -> Array:
    """(W δᵀ)ᵀ, which does not transpose W; without the barrier XLA would undo the exchange."""
    z = _contract(weight, delta, axes_a=(1,), axes_b=(delta.ndim - 1,))
    return jnp.moveaxis(lax.optimization_barrier(z), 0, -1)


def _by_elements(delta: Array, weight: Array) -> Array:
    """One row of δ, or of W: sums along rows, which XLA adds up in many lanes."""
    one, rows = (weight, delta) if weight.shape[0] == 1 else (delta, weight)
    one = jnp.broadcast_to(widen(one).reshape((1,) * (rows.ndim - 1) + (-1,)), rows.shape)
    sums = (one * widen(rows)).sum(-1)
    return sums.reshape(*delta.shape[:-1], weight.shape[0]).astype(delta.dtype)


def _as_product(x: Array, weight: Array) -> Array:
    last = tuple(range(x.ndim - weight.ndim, x.ndim))
    product = partial(_contract, axes_a=last, axes_b=tuple(range(weight.ndim)))
    return declared(product, lambda x, _: x[: last[0]], x, weight)


def _contract(a: Array, b: Array, axes_a: tuple[int, ...], axes_b: tuple[int, ...]) -> Array:
    dtype, precision = a.dtype, None
    if of_halves(jax.default_matmul_precision.value):
        (a, b), precision = as_halves(a, b), EXACT_ENOUGH
    y = lax.dot_general(
        a,
        b,
        ((axes_a, axes_b), ((), ())),
        precision=precision,
        preferred_element_type=accumulator(a.dtype),
    )
    return y.astype(dtype)


def _factors(a: Array, b: Array) -> tuple[Array, ...]:
    """The factors, rounded if the products are to be of halves."""
    return rounded(a, b) if of_halves(jax.default_matmul_precision.value) else (a, b)
