"""Plain twins of the maps that only move elements."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.ops import join, pad, shape


def _rot180(kernel: Array) -> Array:
    return jnp.flip(kernel, tuple(range(kernel.ndim - 2)))


def _dilate(x: Array, rate: tuple[int, ...], size: tuple[int, ...]) -> Array:
    places = tuple(slice(None, None, s) for s in rate)
    y = jnp.zeros((x.shape[0], *size, x.shape[-1]), x.dtype)
    return y.at[(slice(None), *places)].set(x)


def _subsample(x: Array, rate: tuple[int, ...], size: tuple[int, ...]) -> Array:
    del size
    return x[(slice(None), *(slice(None, None, s) for s in rate))]


def _pixel_shuffle(x: Array, block: tuple[int, ...], order: str) -> Array:
    n, *size, c = x.shape
    d, count = c // math.prod(block), math.prod(block)
    y = jnp.zeros((n, *(h * b for h, b in zip(size, block, strict=True)), d), x.dtype)
    for number, offset in enumerate(itertools.product(*map(range, block))):
        part = x[..., number::count] if order == "CRD" else x[..., number * d : (number + 1) * d]
        places = tuple(slice(a, None, b) for a, b in zip(offset, block, strict=True))
        y = y.at[(slice(None), *places)].set(part)
    return y


def _pixel_unshuffle(x: Array, block: tuple[int, ...], order: str) -> Array:
    parts = []
    for offset in itertools.product(*map(range, block)):
        places = tuple(slice(a, None, b) for a, b in zip(offset, block, strict=True))
        parts.append(x[(slice(None), *places)])
    y = jnp.stack(parts, -1 if order == "CRD" else -2)
    return y.reshape(*y.shape[:-2], -1)


def _flatten(x: Array, shape: tuple[int, ...]) -> Array:
    return jnp.reshape(x, (-1, math.prod(shape)))


def _unflatten(x: Array, shape: tuple[int, ...]) -> Array:
    return jnp.reshape(x, (-1, *shape))


def _concatenate(parts: tuple[Array, ...], sizes: tuple[int, ...]) -> Array:
    del sizes
    return jnp.concatenate(parts, -1)


def _split(x: Array, sizes: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(jnp.split(x, np.cumsum(sizes)[:-1], -1))


def _pad(x: Array, pads: tuple[tuple[int, int], ...], mode: str, size: tuple[int, ...]) -> Array:
    del size
    name = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return jnp.pad(x, ((0, 0), *pads, (0, 0)), mode=name[mode])


def _fold_back(
    delta: Array, pads: tuple[tuple[int, int], ...], mode: str, size: tuple[int, ...]
) -> Array:
    x = jnp.zeros((delta.shape[0], *size, delta.shape[-1]), delta.dtype)
    return jax.vjp(lambda x: _pad(x, pads, mode, size), x)[1](delta)[0]


TWINS = {
    pad.pad_map: _pad,
    pad.fold_back_map: _fold_back,
    join.concatenate_map: _concatenate,
    join.split_map: _split,
    shape.rot180_map: _rot180,
    shape.dilate_map: _dilate,
    shape.subsample_map: _subsample,
    shape.pixel_shuffle_map: _pixel_shuffle,
    shape.pixel_unshuffle_map: _pixel_unshuffle,
    shape.flatten_map: _flatten,
    shape.unflatten_map: _unflatten,
}
