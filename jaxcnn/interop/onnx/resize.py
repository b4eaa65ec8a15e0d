"""Resize and Upsample: every element of the result is a weighted sum of a few, axis by axis.

The definition is that of the operator; where the scales given make no whole size, the coordinates
are those of the scale and not of the size, as onnxruntime has it and the evaluator of `onnx` has
not.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.interop.onnx.table import Node, operator, words
from jaxcnn.interop.onnx.values import Maps, as_floats, channels_last, is_float, plain
from jaxcnn.ops.resize import resize
from jaxcnn.ops.sum_pool import upsample

COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize",
)  # fmt: skip
OURS = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
POLICIES = ("stretch", "not_larger", "not_smaller")


class Along(NamedTuple):
    """How one axis is resized."""

    axis: int
    size: int
    result: int
    scale: float
    roi: tuple[float, float]


@operator("Resize", 19, upsample, resize, settings=(1, 2, 3), layout="own")
def _resize(node: Node, x: Any, roi: Any = None, scales: Any = None, wanted: Any = None) -> Any:
    if node.version < 11:  # the second input were the scales, and coordinates without a choice
        return _upsample(node, x, roi)
    rank = x.ndim
    over = node.axes(node.get("axes", range(rank)), rank)
    if wanted is not None and np.size(wanted):
        sizes, scales = _sizes(node, x.shape, over, node.integers("sizes", wanted))
    else:
        scales = _scales(node, scales, len(over))
        sizes = [int(np.floor(x.shape[a] * s)) for a, s in zip(over, scales, strict=True)]
    cut = [0] * len(over) + [1] * len(over)
    if roi is not None and np.size(roi) == len(cut):
        cut = list(np.ravel(roi))
    steps = [
        Along(axis, x.shape[axis], size, scale, (float(low), float(high)))
        for axis, size, scale, low, high in zip(
            over, sizes, scales, cut[: len(over)], cut[len(over) :], strict=True
        )
    ]
    return _resized(node, x, steps, words(
        node, "coordinate_transformation_mode", "half_pixel", COORDINATES
    ))  # fmt: skip


@operator("Upsample", 10, upsample, resize, settings=(1,), layout="own")
def _upsample(node: Node, x: Any, scales: Any = None) -> Any:
    scales = _scales(node, node.get("scales") if scales is None else scales, x.ndim)
    steps = [
        Along(axis, size, int(np.floor(size * scale)), scale, (0, 1))
        for axis, (size, scale) in enumerate(zip(x.shape, scales, strict=True))
    ]
    return _resized(node, x, steps, "asymmetric", "floor")


def _scales(node: Node, scales: Any, count: int) -> list[float]:
    if scales is None or isinstance(scales, Array) or np.size(scales) != count:
        raise node.fail(f"scales must be {count} numbers known before the program runs")
    found = [float(scale) for scale in np.ravel(scales)]
    if not all(0 < scale < np.inf for scale in found):
        raise node.fail(f"scales must be above 0, got {found}")
    return found


def _sizes(
    node: Node, shape: Sequence[int], over: Sequence[int], sizes: list[int]
) -> tuple[list[int], list[float]]:
    """The sizes, and the scales that they are."""
    scales = [size / shape[axis] for size, axis in zip(sizes, over, strict=True)]
    policy = words(node, "keep_aspect_ratio_policy", "stretch", POLICIES)
    if policy == "stretch":
        return sizes, scales
    scale = (min if policy == "not_larger" else max)(scales)
    return [int(np.floor(scale * shape[axis] + 0.5)) for axis in over], [scale] * len(over)


def _resized(
    node: Node, x: Any, steps: Sequence[Along], coordinates: str, nearest: str | None = None
) -> Any:
    mode = words(node, "mode", "nearest", ("nearest", "linear", "cubic"))
    whole = list(x.shape)
    for step in steps:
        whole[step.axis] = step.result
        node.claim((step.result,))
    node.claim(whole)
    steps = [s for s in steps if s.size != s.result or s.scale != 1 or s.roi != (0, 1)]
    if _in_space(x, steps):
        maps = channels_last(x)
        size = _replicated(node, steps, maps.ndim - 2, coordinates, nearest)
        if mode == "nearest" and size:
            return Maps(node.of(upsample)(maps, size))
        if coordinates in OURS and _usual(node, steps):
            return Maps(_by_rule(node, maps, steps, (mode, coordinates, nearest)))
    array = jnp.asarray(plain(x))
    dtype = array.dtype
    if mode != "nearest":
        array = as_floats(array)
    outside = np.zeros((), bool)
    for step in steps:
        at, axis = _coordinates(step, coordinates), step.axis
        if mode == "nearest":
            array = jnp.take(array, _rounded(node, at, nearest).clip(0, step.size - 1), axis)
        else:
            array = _weighted(array, axis, *_taps(node, step, at, mode))
        beyond = (at < 0) | (at > step.size - 1)
        along = [1] * array.ndim
        along[axis] = step.result
        outside = outside | beyond.reshape(along)
    if coordinates == "tf_crop_and_resize":
        value = jnp.asarray(node.get("extrapolation_value", 0.0), array.dtype)
        array = jnp.where(jnp.broadcast_to(outside, array.shape), value, array)
    return _narrow(array, dtype)


def _narrow(x: Array, dtype: Any) -> Array:
    """Sums of integers as integers: rounded, halves to even, and no further than the dtype goes.

    As the evaluator of `onnx` has it, where the operator says nothing. onnxruntime drops the
    fraction, but with antialias rounds after every axis.
    """
    if x.dtype == dtype:
        return x
    if jnp.issubdtype(dtype, jnp.integer):
        x = jnp.clip(jnp.rint(x), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return x.astype(dtype)


def _in_space(x: Any, steps: Sequence[Along]) -> bool:
    return is_float(x) and 3 <= x.ndim <= 5 and all(step.axis > 1 for step in steps)


def _usual(node: Node, steps: Sequence[Along]) -> bool:
    """Whether the sums, and the sizes that follow from scales, are those of the rule."""
    floored = all(step.result == int(np.floor(step.size * step.scale)) for step in steps)
    if not (floored or _of_sizes(steps)):
        return False
    others = node.get("antialias", 0) or node.get("exclude_outside", 0)
    return not others and node.get("cubic_coeff_a", -0.75) == -0.75


def _of_sizes(steps: Sequence[Along]) -> bool:
    """Whether the scales are those of the sizes."""
    return all(step.scale == step.result / step.size for step in steps)


def _by_rule(
    node: Node, maps: Array, steps: Sequence[Along], how: tuple[str, str, str | None]
) -> Array:
    mode, coordinates, nearest = how
    size, scale = list(maps.shape[1:-1]), [1.0] * (maps.ndim - 2)
    for step in steps:
        size[step.axis - 2], scale[step.axis - 2] = step.result, step.scale
    # Coordinates are those of the scale, where the file gives one.
    by_size = _of_sizes(steps)
    return node.of(resize)(
        maps,
        tuple(size) if by_size else None,
        scale=None if by_size else tuple(scale),
        method=mode,
        coordinates=coordinates,
        rounding=nearest or words(node, "nearest_mode", NEAREST[0], NEAREST),
    )


def _replicated(
    node: Node, steps: Sequence[Along], axes: int, coordinates: str, nearest: str | None
) -> tuple[int, ...] | None:
    """How often each element is repeated along each axis of space, if that is all that is done."""
    size = [1] * axes
    for step in steps:
        times = step.result // step.size
        at = _rounded(node, _coordinates(step, coordinates), nearest).clip(0, step.size - 1)
        if not np.array_equal(at, np.repeat(np.arange(step.size), times)):
            return None
        size[step.axis - 2] = times
    return tuple(size) if 1 <= axes <= 3 else None


def _coordinates(step: Along, mode: str) -> np.ndarray:
    """Where on the axis every element of the result is taken from."""
    place, p, h = np.arange(step.result, dtype=np.float64), step.result, step.size
    match mode:
        case "align_corners":
            return place * (h - 1) / (p - 1) if p > 1 else np.zeros(p)
        case "asymmetric":
            return place / step.scale
        case "tf_crop_and_resize":
            start, end = step.roi
            if p > 1:
                return start * (h - 1) + place * (end - start) * (h - 1) / (p - 1)
            return np.full(p, 0.5 * (start + end) * (h - 1))
        case "pytorch_half_pixel" if p == 1:
            return np.zeros(p)
        case "half_pixel_symmetric":
            middle = h / 2 * (1 - p / (step.scale * h))
            return middle + (place + 0.5) / step.scale - 0.5
    return (place + 0.5) / step.scale - 0.5


def _rounded(node: Node, at: np.ndarray, mode: str | None) -> np.ndarray:
    match mode or words(node, "nearest_mode", "round_prefer_floor", NEAREST):
        case "floor":
            found = np.floor(at)
        case "ceil":
            found = np.ceil(at)
        case "round_prefer_ceil":
            found = np.floor(at + 0.5)
        case _:
            found = np.ceil(at - 0.5)
    return found.astype(np.int64)


def _taps(node: Node, step: Along, at: np.ndarray, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """The places and weights of the elements that one of the result is the sum of."""
    reach = 1 if mode == "linear" else 2
    # What shrinks is smoothed, if that is asked for, by a window as much wider.
    narrow = min(step.scale, 1.0) if node.get("antialias", 0) else 1.0
    low = int(np.floor(-reach / narrow)) + 1
    node.claim((2 - 2 * low, max(len(at), 1)))
    base = np.floor(at)
    offsets = np.arange(low, 2 - low)
    distance = np.abs(base[:, None] + offsets - at[:, None]) * narrow
    if mode == "linear":
        weight = np.clip(1 - distance, 0, None)
    else:
        a = node.get("cubic_coeff_a", -0.75)
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((distance - 5) * distance + 8) * distance * a - 4 * a
        weight = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    place = (base[:, None] + offsets).astype(np.int64)
    if node.get("exclude_outside", 0):
        weight = weight * ((place >= 0) & (place < step.size))
    weight = weight / weight.sum(1, keepdims=True)
    return place.clip(0, step.size - 1), weight


def _weighted(x: Array, axis: int, places: np.ndarray, weights: np.ndarray) -> Array:
    along = [1] * x.ndim
    along[axis] = len(places)
    terms = [
        jnp.take(x, places[:, t], axis) * jnp.asarray(weights[:, t].reshape(along), x.dtype)
        for t in range(places.shape[1])
    ]
    return sum(terms[1:], terms[0])
