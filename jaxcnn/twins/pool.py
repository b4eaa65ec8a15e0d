"""Plain twins of the poolings and their adjoints."""

import itertools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.ops import lp_pool, max_pool, patches, switches
from jaxcnn.ops import sum_pool as sums


def _window_arguments(geometry: Geometry) -> dict[str, Any]:
    return {
        "window_dimensions": (1, *geometry.window, 1),
        "window_strides": (1, *geometry.stride, 1),
        "padding": ((0, 0), *geometry.padding, (0, 0)),
        "window_dilation": (1, *geometry.dilation, 1),
    }


def _max_pool(x: Array, geometry: Geometry) -> Array:
    if set(geometry.dilation) != {1}:  # JAX has no gradient for it
        return _max_pool_with_switches(x, geometry)[0]
    return lax.reduce_window(x, -jnp.inf, lax.max, **_window_arguments(geometry))


def _windows(x: Array, geometry: Geometry, fill: float) -> Array:
    """Every window's elements, by indexing: n h w c → n p q c taps."""
    pads = [(0, 0, 0), *((low, high, 0) for low, high in geometry.padding), (0, 0, 0)]
    padded = lax.pad(x, jnp.array(fill, x.dtype), pads)
    columns = []
    for tap in itertools.product(*(range(k) for k in geometry.window)):
        places = [
            np.arange(p) * s + t * d
            for p, s, t, d in zip(
                geometry.output, geometry.stride, tap, geometry.dilation, strict=True
            )
        ]
        columns.append(padded[(slice(None), *np.ix_(*places))])
    return jnp.stack(columns, -1)


def _max_pool_with_switches(x: Array, geometry: Geometry) -> tuple[Array, Array]:
    windows = _windows(x, geometry, -jnp.inf)
    switches = jnp.argmax(windows, -1)
    return jnp.take_along_axis(windows, switches[..., None], -1)[..., 0], switches


def _gather_at_switches(x: Array, switches: Array, geometry: Geometry) -> Array:
    index = switches.astype(jnp.int32)[..., None]
    return jnp.take_along_axis(_windows(x, geometry, 0), index, -1)[..., 0]


def _scatter_at_switches(delta: Array, switches: Array, geometry: Geometry) -> Array:
    x = jnp.zeros((delta.shape[0], *geometry.input, delta.shape[-1]), delta.dtype)
    return jax.vjp(lambda x: _gather_at_switches(x, switches, geometry), x)[1](delta)[0]


def _sum_pool(x: Array, geometry: Geometry) -> Array:
    return lax.reduce_window(x, 0.0, lax.add, **_window_arguments(geometry))


def _sum_pool_input_grad(delta: Array, geometry: Geometry) -> Array:
    x = jnp.zeros((delta.shape[0], *geometry.input, delta.shape[-1]), delta.dtype)
    return jax.vjp(lambda x: _sum_pool(x, geometry), x)[1](delta)[0]


def _avg_pool(x: Array, geometry: Geometry, count_include_pad: bool) -> Array:
    # One image and one channel of ones: XLA takes half a minute to fold as many as x has.
    ones = jnp.ones((1, *x.shape[1:-1], 1), x.dtype)
    if count_include_pad:
        pads = [(0, 0), *geometry.counted_padding, (0, 0)]
        ones = jnp.pad(ones, pads, constant_values=1)
        over = [(0, over) for over in geometry.overhang or (0,) * geometry.axes]
        geometry_of_ones = replace(geometry, padding=tuple(over))
        return _sum_pool(x, geometry) / _sum_pool(ones, geometry_of_ones)
    return _sum_pool(x, geometry) / _sum_pool(ones, geometry)


def _lp_pool(x: Array, geometry: Geometry, p: float) -> Array:
    return _sum_pool(jnp.abs(x) ** p, geometry) ** (1 / p)


def _patches(x: Array, geometry: Geometry) -> Array:
    # n p q c taps → n p q taps·c
    elements = jnp.moveaxis(_windows(x, geometry, 0), -1, -2)
    return elements.reshape(*elements.shape[:-2], -1)


def _fold(delta: Array, geometry: Geometry) -> Array:
    c = delta.shape[-1] // geometry.taps
    x = jnp.zeros((delta.shape[0], *geometry.input, c), delta.dtype)
    return jax.vjp(lambda x: _patches(x, geometry), x)[1](delta)[0]


def _upsample(x: Array, size: tuple[int, ...]) -> Array:
    for axis, k in enumerate(size):
        x = jnp.repeat(x, k, axis + 1)
    return x


TWINS = {
    max_pool.max_pool_map: _max_pool,
    max_pool.max_pool_with_switches_map: _max_pool_with_switches,
    switches.gather_at_switches_map: _gather_at_switches,
    switches.scatter_at_switches_map: _scatter_at_switches,
    sums.avg_pool_map: _avg_pool,
    sums.sum_pool_map: _sum_pool,
    sums.sum_pool_input_grad_map: _sum_pool_input_grad,
    sums.upsample_map: _upsample,
    lp_pool.lp_pool_map: _lp_pool,
    patches.patches_map: _patches,
    patches.fold_map: _fold,
}
