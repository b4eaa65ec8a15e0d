"""Matrix products with half-precision sums accumulated in float32."""

from functools import partial

from jax import Array, lax

from jaxcnn.lowering.precision import accumulator
from jaxcnn.lowering.sharding import declared


def matmul(x: Array, weight: Array) -> Array:
    """... c, c d → ... d."""
    contract = partial(_contract, axes_a=(x.ndim - 1,), axes_b=(0,))
    return declared(contract, lambda x, w: (*x[:-1], w[1]), x, weight)


def matmul_transposed(delta: Array, weight: Array) -> Array:
    """δ Wᵀ: ... d, c d → ... c."""
    contract = partial(_contract, axes_a=(delta.ndim - 1,), axes_b=(1,))
    return declared(contract, lambda d, w: (*d[:-1], w[0]), delta, weight)


def outer_sum(x: Array, delta: Array) -> Array:
    """xᵀ δ, summed over every leading axis: ... c, ... d → c d."""
    leading = tuple(range(x.ndim - 1))
    contract = partial(_contract, axes_a=leading, axes_b=leading)
    return declared(contract, lambda x, d: (x[-1], d[-1]), x, delta)


def _contract(a: Array, b: Array, axes_a: tuple[int, ...], axes_b: tuple[int, ...]) -> Array:
    y = lax.dot_general(
        a, b, ((axes_a, axes_b), ((), ())), preferred_element_type=accumulator(a.dtype)
    )
    return y.astype(a.dtype)
