"""Maps given another size, and the adjoint: weighted sums of a few elements, axis by axis.

Both are gathers whose indices are known before the program runs: XLA makes one loop of a sum of
them, and no scatter is needed.
"""

from functools import reduce
from operator import add

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import ResizeGeometry
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import by_batch

# A sum of more elements than this is a loop, so that programs stay short.
UNROLLED = 16


@by_batch
def resized(x: Array, geometry: ResizeGeometry) -> Array:
    """Every element of the result from those of the map around its place."""
    y = widen(x)
    for axis in range(len(geometry.input)):
        y = _weighted(y, axis + 1, *geometry.gathered(axis))
    return y.astype(x.dtype)


@by_batch
def resized_input_grad(delta: Array, geometry: ResizeGeometry) -> Array:
    """To every element of the map its share of each element of the result: the transpose."""
    x = widen(delta)
    for axis in reversed(range(len(geometry.input))):
        x = _weighted(x, axis + 1, *geometry.scattered(axis))
    return x.astype(delta.dtype)


def _weighted(x: Array, axis: int, index: np.ndarray, weights: np.ndarray) -> Array:
    """Σ_k of the weights p × k times the elements at p × k along an axis."""
    if np.array_equal(index, np.arange(x.shape[axis])[:, None]):
        return x
    places, factors = jnp.asarray(index.T), jnp.asarray(weights.T, x.dtype)
    shape = [-1 if a == axis else 1 for a in range(x.ndim)]

    def share(k):
        elements = jnp.take(x, places[k], axis, mode="clip")
        weight = jnp.broadcast_to(factors[k].reshape(shape), elements.shape)
        # What has no weight is no part of the sum: 0 · ∞ is NaN.
        return jnp.where(weight == 0, jnp.zeros_like(elements), elements * weight)

    count = len(places)
    if count > UNROLLED:
        return lax.fori_loop(1, count, lambda k, y: y + share(k), share(0))
    return reduce(add, map(share, range(count)))
