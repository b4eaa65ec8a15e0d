"""Operators whose window slides over a map: convolutions and poolings."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.geometry import parse_geometry
from jaxcnn.interop.onnx.table import Node, operator, words
from jaxcnn.interop.onnx.values import is_float
from jaxcnn.ops.conv import conv
from jaxcnn.ops.conv_variants import conv_transpose
from jaxcnn.ops.global_pool import global_avg_pool, global_max_pool
from jaxcnn.ops.lp_pool import lp_pool
from jaxcnn.ops.max_pool import max_pool, max_pool_with_switches
from jaxcnn.ops.sum_pool import avg_pool

AUTO = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def per_axis(node: Node, name: str, axes: int, default: int | None = 1) -> tuple[int, ...]:
    """An attribute of one integer per axis of space."""
    value = node.get(name, None if default is None else [default] * axes)
    if value is None or len(value) != axes:
        raise node.fail(f"{name} must hold {axes} integers, one per axis of space, got {value}")
    return tuple(value)


def padding(node: Node, axes: int) -> Any:
    """As the operations of jaxcnn have it."""
    match words(node, "auto_pad", "NOTSET", AUTO):
        case "NOTSET":
            pads = node.get("pads", [0] * 2 * axes)
            if len(pads) != 2 * axes:
                raise node.fail(f"pads must hold {2 * axes} integers for {axes} axes, got {pads}")
            return tuple(zip(pads[:axes], pads[axes:], strict=True))
        case "SAME_UPPER":
            return "SAME"
        case word:
            return word


def window_of(node: Node, kernel: Array) -> int:
    """The number of axes of the kernel, if the attribute says the same of its window."""
    window = tuple(kernel.shape[2:])
    if tuple(node.get("kernel_shape", window)) != window:
        raise node.fail(f"kernel_shape must be {window}, got {node.get('kernel_shape')}")
    return len(window)


@operator("Conv", 22, conv, layout="maps")
def _conv(node: Node, x: Array, kernel: Any, bias: Any = None) -> Array:
    axes = window_of(node, kernel)
    how = {
        "stride": per_axis(node, "strides", axes),
        "padding": padding(node, axes),
        "dilation": per_axis(node, "dilations", axes),
    }
    _slides(node, x, kernel.shape[2:], how, kernel.shape[0])
    kernel = jnp.moveaxis(jnp.asarray(kernel), (0, 1), (-1, -2))
    return node.of(conv)(x, kernel, bias, groups=node.get("group", 1), **how)


def _slides(
    node: Node, x: Array, window: Sequence[int], how: Mapping[str, Any], channels: int
) -> None:
    """Claim the padded map, and the map with so many channels that a window makes of it."""
    n, *size, c = x.shape
    if len(size) != len(window):  # the operation says so
        return
    geometry = parse_geometry(node.kind, size, window, window_name="window", **how)
    node.claim((n, *(h + sum(pair) for h, pair in zip(size, geometry.padding, strict=True)), c))
    node.claim((n, *geometry.output, channels))


@operator("ConvTranspose", 22, conv_transpose, layout="maps")
def _conv_transpose(node: Node, x: Array, kernel: Any, bias: Any = None) -> Array:
    axes = window_of(node, kernel)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilation, strict=True)]
    full = [(h - 1) * s + e for h, s, e in zip(x.shape[1:-1], stride, extent, strict=True)]
    same = [h * s for h, s in zip(x.shape[1:-1], stride, strict=True)]
    cropped, groups = _cropped(node, full, same), node.get("group", 1)
    widest = max(x.shape[-1], kernel.shape[1] * groups)
    node.claim((x.shape[0], *full, widest))
    result = [f - sum(pair) for f, pair in zip(full, cropped, strict=True)]
    node.claim((x.shape[0], *result, widest))
    return node.of(conv_transpose)(
        x,
        # The kernel of the convolution that this one is the adjoint of: out, then in.
        jnp.moveaxis(jnp.asarray(kernel), (0, 1), (-1, -2)),
        bias,
        stride=stride,
        padding=cropped,
        dilation=dilation,
        groups=groups,
    )


def _cropped(node: Node, full: Sequence[int], same: Sequence[int]) -> list[tuple[int, int]]:
    """By how much the full result is cropped, from the front and from the end of every axis.

    An output_padding first adds zeros at the end: it crops less there, by less than nothing where
    some stay. A wanted size goes before the amounts; what is odd of them is cropped at the front,
    and under SAME_UPPER at the end. What a wanted size lacks is zeros at the end.
    """
    extra = per_axis(node, "output_padding", len(full), 0)
    node.claim([f + o for f, o in zip(full, extra, strict=True)])
    axes, auto = len(full), words(node, "auto_pad", "NOTSET", AUTO)
    wanted = node.get("output_shape")
    if wanted is None and auto.startswith("SAME"):
        wanted = same
    if wanted is None:
        pads = [(0, 0)] * axes if auto == "VALID" else padding(node, axes)
        return [(low, high - o) for (low, high), o in zip(pads, extra, strict=True)]
    total = [f + o - w for f, o, w in zip(full, extra, wanted[-axes:], strict=True)]
    odd = int(auto != "SAME_UPPER")
    front = [(max(t, 0) + odd) // 2 for t in total]
    return [(a, t - a - o) for t, a, o in zip(total, front, extra, strict=True)]


def windows(node: Node, x: Array) -> tuple[tuple[int, ...], dict[str, Any]]:
    """The window of a pooling, and how it slides."""
    axes = x.ndim - 2
    window = per_axis(node, "kernel_shape", axes, None)
    how = {
        "stride": per_axis(node, "strides", axes),
        "padding": padding(node, axes),
        "dilation": per_axis(node, "dilations", axes),
        # A padding that fits the size leaves nothing to round.
        "ceil_mode": bool(node.get("ceil_mode", 0)) and node.get("auto_pad", "NOTSET") == "NOTSET",
    }
    _slides(node, x, window, how, x.shape[-1])
    return window, how


@operator("MaxPool", 22, max_pool, max_pool_with_switches, layout="maps")
def _max_pool(node: Node, x: Array) -> Any:
    window, how = windows(node, x)
    if not is_float(x):  # bytes: their order is that of the same numbers as floats
        found = _max_pool(node, x.astype(jnp.float32))
        y, *places = found if isinstance(found, tuple) else (found,)
        return (y.astype(x.dtype), *places)
    if len(node.outputs) < 2:
        return node.of(max_pool)(x, window, **how)
    y, switches = node.of(max_pool_with_switches)(x, window, **how)
    return y, _places(node, x.shape, window, how, switches)


def _places(
    node: Node, shape: Sequence[int], window: Sequence[int], how: Any, switches: Array
) -> Array:
    """Where in the whole tensor, in the file's layout, the maximum of every window stands."""
    n, *space, c = shape
    given = how["padding"]
    if isinstance(given, str):
        raise node.fail(f"Indices are given with pads alone, got auto_pad {given}")
    taps = jnp.unravel_index(switches.astype(jnp.int32), tuple(window))
    place = jnp.zeros(switches.shape, jnp.int32)
    order = list(range(len(space)))
    if node.get("storage_order", 0):
        order.reverse()
    for axis in order:
        size = switches.shape[1 + axis]
        start = jnp.arange(size, dtype=jnp.int32) * how["stride"][axis] - given[axis][0]
        along = [1] * switches.ndim
        along[1 + axis] = size
        at = start.reshape(along) + taps[axis].astype(jnp.int32) * how["dilation"][axis]
        place = place * space[axis] + at
    plane = (jnp.arange(n)[:, None] * c + jnp.arange(c)[None]).astype(jnp.int32)
    plane = plane.reshape(n, *(1,) * len(space), c) * prod(space)
    return (place + plane).astype(jnp.asarray(np.int64(0)).dtype)


@operator("MaxUnpool", 22, settings=(2,))
def _max_unpool(node: Node, x: Array, indices: Array, output_shape: Any = None) -> Array:
    axes = x.ndim - 2
    window = per_axis(node, "kernel_shape", axes, None)
    stride, pads = per_axis(node, "strides", axes), padding(node, axes)
    smallest = [
        (h - 1) * s + k - sum(pair)
        for h, s, k, pair in zip(x.shape[2:], stride, window, pads, strict=True)
    ]
    shape = (*x.shape[:2], *smallest)
    if output_shape is not None:
        shape = tuple(node.integers("output_shape", output_shape))
    flat = jnp.zeros(prod(node.claim(shape)), x.dtype)
    return flat.at[jnp.ravel(indices)].set(jnp.ravel(x)).reshape(shape)


@operator("AveragePool", 22, avg_pool, layout="maps")
def _average_pool(node: Node, x: Array) -> Array:
    window, how = windows(node, x)
    pad = bool(node.get("count_include_pad", 0))
    return node.of(avg_pool)(x, window, count_include_pad=pad, **how)


@operator("LpPool", 22, lp_pool, layout="maps")
def _lp_pool(node: Node, x: Array) -> Array:
    window, how = windows(node, x)
    return node.of(lp_pool)(x, window, node.get("p", 2), **how)


@operator("GlobalLpPool", 22, lp_pool, layout="maps")
def _global_lp_pool(node: Node, x: Array) -> Array:
    return node.of(lp_pool)(x, x.shape[1:-1], node.get("p", 2))


def _whole(kind: str, op: Callable[..., Array]) -> None:
    @operator(kind, 22, op, layout="maps")
    def _pool(node: Node, x: Array) -> Array:
        return node.of(op)(x, keepdims=True)


_whole("GlobalMaxPool", global_max_pool)
_whole("GlobalAveragePool", global_avg_pool)
