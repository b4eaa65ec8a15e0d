"""Plain twins of the adaptive poolings: window by window, as they are defined."""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.geometry import AdaptiveGeometry
from jaxcnn.ops import adaptive_pool as ops


def _by_window(x: Array, geometry: AdaptiveGeometry, reduce: Callable[[Array], Array]) -> Array:
    """What `reduce` makes of n kh kw c, for every window: n p q c."""
    axes = range(len(geometry.input))
    found = []
    for window in itertools.product(*(geometry.windows(axis) for axis in axes)):
        found.append(reduce(x[(slice(None), *(slice(a, b) for a, b in window))]))
    return jnp.stack(found, 1).reshape(x.shape[0], *geometry.output, x.shape[-1])


def _avg(x: Array, geometry: AdaptiveGeometry) -> Array:
    return _by_window(x, geometry, lambda part: part.mean(range(1, part.ndim - 1)))


def _avg_input_grad(delta: Array, geometry: AdaptiveGeometry) -> Array:
    x = jnp.zeros((delta.shape[0], *geometry.input, delta.shape[-1]), delta.dtype)
    return jax.vjp(lambda x: _avg(x, geometry), x)[1](delta)[0]


def _max(x: Array, geometry: AdaptiveGeometry) -> Array:
    def first_maximum(part: Array) -> Array:  # jnp.max would split the gradient among ties
        elements = part.reshape(part.shape[0], -1, part.shape[-1])
        index = jnp.argmax(elements, 1, keepdims=True)
        return jnp.take_along_axis(elements, index, 1)[:, 0]

    return _by_window(x, geometry, first_maximum)


def _max_with_positions(x: Array, geometry: AdaptiveGeometry) -> tuple[Array, Array]:
    y = _max(x, geometry)
    flat = x.reshape(x.shape[0], -1, 1, x.shape[-1])
    positions = jnp.argmax(flat == y.reshape(x.shape[0], 1, -1, x.shape[-1]), 1)
    return y, positions.reshape(y.shape)


def _gather(x: Array, positions: Array, geometry: AdaptiveGeometry) -> Array:
    del geometry
    flat = x.reshape(x.shape[0], -1, x.shape[-1])
    index = positions.reshape(x.shape[0], -1, x.shape[-1])
    return jnp.take_along_axis(flat, index, 1).reshape(positions.shape)


def _scatter(delta: Array, positions: Array, geometry: AdaptiveGeometry) -> Array:
    x = jnp.zeros((delta.shape[0], *geometry.input, delta.shape[-1]), delta.dtype)
    return jax.vjp(lambda x: _gather(x, positions, geometry), x)[1](delta)[0]


TWINS = {
    ops.adaptive_avg_pool_map: _avg,
    ops.adaptive_avg_pool_input_grad_map: _avg_input_grad,
    ops.adaptive_max_pool_map: _max,
    ops.adaptive_max_pool_with_positions_map: _max_with_positions,
    ops.gather_at_positions_map: _gather,
    ops.scatter_at_positions_map: _scatter,
}
