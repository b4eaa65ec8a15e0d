"""Matrix products with half-precision sums accumulated in float32."""

from jax import Array, lax

from jaxcnn.lowering.precision import accumulator


def matmul(x: Array, weight: Array) -> Array:
    """... c, c d → ... d."""
    return _contract(x, weight, (x.ndim - 1,), (0,))


def matmul_transposed(delta: Array, weight: Array) -> Array:
    """δ Wᵀ: ... d, c d → ... c."""
    return _contract(delta, weight, (delta.ndim - 1,), (1,))


def outer_sum(x: Array, delta: Array) -> Array:
    """xᵀ δ, summed over every leading axis: ... c, ... d → c d."""
    leading = tuple(range(x.ndim - 1))
    return _contract(x, delta, leading, leading)


def _contract(a: Array, b: Array, axes_a: tuple[int, ...], axes_b: tuple[int, ...]) -> Array:
    y = lax.dot_general(
        a, b, ((axes_a, axes_b), ((), ())), preferred_element_type=accumulator(a.dtype)
    )
    return y.astype(a.dtype)
