"""Plain twins of the maps that only move elements."""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.ops import join, shape


def _rot180(kernel: Array) -> Array:
    return jnp.flip(kernel, tuple(range(kernel.ndim - 2)))


def _dilate(x: Array, rate: tuple[int, ...], size: tuple[int, ...]) -> Array:
    places = tuple(slice(None, None, s) for s in rate)
    y = jnp.zeros((x.shape[0], *size, x.shape[-1]), x.dtype)
    return y.at[(slice(None), *places)].set(x)


def _subsample(x: Array, rate: tuple[int, ...], size: tuple[int, ...]) -> Array:
    del size
    return x[(slice(None), *(slice(None, None, s) for s in rate))]


def _flatten(x: Array, shape: tuple[int, ...]) -> Array:
    return jnp.reshape(x, (-1, math.prod(shape)))


def _unflatten(x: Array, shape: tuple[int, ...]) -> Array:
    return jnp.reshape(x, (-1, *shape))


def _concatenate(parts: tuple[Array, ...], sizes: tuple[int, ...]) -> Array:
    del sizes
    return jnp.concatenate(parts, -1)


def _split(x: Array, sizes: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(jnp.split(x, np.cumsum(sizes)[:-1], -1))


TWINS = {
    join.concatenate_map: _concatenate,
    join.split_map: _split,
    shape.rot180_map: _rot180,
    shape.dilate_map: _dilate,
    shape.subsample_map: _subsample,
    shape.flatten_map: _flatten,
    shape.unflatten_map: _unflatten,
}
