"""Plain twins of the maps that only move elements."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.geometry import ResizeGeometry
from jaxcnn.ops import join, pad, resize, shape


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


def _places(geometry: ResizeGeometry, axis: int) -> np.ndarray:
    h, p = geometry.input[axis], geometry.output[axis]
    i, s = np.arange(p), p / h if geometry.scale is None else geometry.scale[axis]
    # The nearest is found by quotients of float32.
    kind = np.float32 if geometry.method == "nearest" else np.float64
    return {
        "half_pixel": ((i + 0.5) / s).astype(kind) - kind(0.5),
        "pytorch_half_pixel": ((i + 0.5) / s).astype(kind) - kind(0.5) if p > 1 else 0.0 * i,
        "align_corners": (i * ((h - 1) / max(p - 1, 1))).astype(kind),
        "asymmetric": (i / s).astype(kind),
    }[geometry.coordinates]


def _interpolation(geometry: ResizeGeometry, axis: int) -> np.ndarray:
    """The matrix p × h of a resizing along one axis."""
    matrix = np.zeros((geometry.output[axis], geometry.input[axis]))
    for row, place in zip(matrix, _places(geometry, axis), strict=True):
        below = math.floor(place)
        t = place - below
        taps = {
            "linear": {0: 1 - t, 1: t},
            "cubic": {
                -1: -0.75 * t * (1 - t) ** 2,
                0: 1 - 2.25 * t**2 + 1.25 * t**3,
                1: 0.75 * t + 1.5 * t**2 - 1.25 * t**3,
                2: -0.75 * t**2 * (1 - t),
            },
            "nearest": {_nearest(place, geometry.rounding) - below: 1.0},
        }[geometry.method]
        for offset, weight in taps.items():
            row[min(max(below + offset, 0), row.size - 1)] += weight
    return matrix


def _nearest(place: float, rounding: str) -> int:
    up, down = math.ceil(place), math.floor(place)
    if rounding in ("ceil", "floor"):
        return {"ceil": up, "floor": down}[rounding]
    if place - down == 0.5:
        return up if rounding == "round_prefer_ceil" else down
    return down if place - down < 0.5 else up


def _resize(x: Array, geometry: ResizeGeometry) -> Array:
    for axis in range(len(geometry.input)):
        matrix = jnp.asarray(_interpolation(geometry, axis), x.dtype)
        x = jnp.moveaxis(jnp.tensordot(matrix, x, (1, axis + 1)), 0, axis + 1)
    return x


def _resize_input_grad(delta: Array, geometry: ResizeGeometry) -> Array:
    x = jnp.zeros((delta.shape[0], *geometry.input, delta.shape[-1]), delta.dtype)
    return jax.vjp(lambda x: _resize(x, geometry), x)[1](delta)[0]


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
    resize.resize_map: _resize,
    resize.resize_input_grad_map: _resize_input_grad,
    shape.pixel_shuffle_map: _pixel_shuffle,
    shape.pixel_unshuffle_map: _pixel_unshuffle,
    shape.flatten_map: _flatten,
    shape.unflatten_map: _unflatten,
}
