"""Layers whose window slides over a map: convolutions, poolings, patches."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcnn import layers
from jaxcnn.geometry import (
    AdaptiveGeometry,
    Geometry,
    parse_geometry,
    parse_pool_geometry,
    parse_resize_geometry,
    parse_transposed_geometry,
)
from jaxcnn.interop.onnx.export.writer import Value, Writer, writes
from jaxcnn.layers.base import per_axis
from jaxcnn.ops.table_conv import connected

Pairs = Any


def pads(pairs: Pairs) -> list[int]:
    """As ONNX has them: all lows, then all highs."""
    return [low for low, _ in pairs] + [high for _, high in pairs]


def padded(w: Writer, name: str, pairs: Pairs, value: float = 0) -> str:
    """Maps with something around them in space, or cropped."""
    if not any(map(any, pairs)):
        return name
    amounts = w.integers("pads", pads([(0, 0), (0, 0), *pairs]))
    return w.add("Pad", name, amounts, w.tensor("value", value), mode="constant")


def correlation(w: Writer, name: str, g: Geometry, kernel: Any, *bias: str) -> str:
    """x ⋆ k, of a kernel in our layout."""
    if set(g.input_dilation) != {1}:
        name = dilated(w, name, g.input_dilation, kernel.shape[-2] * g.groups)
    pairs = g.padding
    if any(min(pair) < 0 for pair in pairs):
        name, pairs = padded(w, name, pairs), ((0, 0),) * g.axes
    return w.add(
        "Conv", name, w.tensor("kernel", np.moveaxis(kernel, (-1, -2), (0, 1))), *bias,
        strides=g.stride, pads=pads(pairs), dilations=g.dilation, group=g.groups,
        kernel_shape=g.window,
    )  # fmt: skip


def transposed(w: Writer, name: str, g: Geometry, kernel: Any, bias: Any = None) -> str:
    """full(dilate(δ), rot180(k)), the adjoint of a correlation with that geometry."""
    cropped = tuple((max(low, 0), max(high, 0)) for low, high in g.padding)
    ends = zip(g.input, g.dilated_output, g.extent, cropped, strict=True)
    beyond = [h - (p - 1 + e - low - high) for h, p, e, (low, high) in ends]
    # Zeros around it, where the padding is negative, come before the bias.
    around = tuple((max(-low, 0), max(-high, 0)) for low, high in g.padding)
    extra = [b - low - high for b, (low, high) in zip(beyond, around, strict=True)]
    late = any(map(any, around))
    given = [] if bias is None or late else [w.tensor("bias", bias)]
    y = w.add(
        "ConvTranspose", name, w.tensor("kernel", np.moveaxis(kernel, (-1, -2), (0, 1))), *given,
        strides=g.stride, pads=pads(cropped), dilations=g.dilation, group=g.groups,
        output_padding=extra, kernel_shape=g.window,
    )  # fmt: skip
    if not late:
        return y
    y = padded(w, y, around)
    if bias is None:
        return y
    bias = np.asarray(bias)
    return w.add("Add", y, w.tensor("bias", bias.reshape(bias.shape + (1,) * g.axes)))


def dilated(w: Writer, name: str, rate: Any, channels: int) -> str:
    """Zeros between the elements: a transposed convolution with a 1."""
    size = (1,) * len(rate)
    one = np.ones((*size, 1, channels))
    return w.add(
        "ConvTranspose", name, w.tensor("one", np.moveaxis(one, (-1, -2), (0, 1))),
        strides=list(rate), group=channels, kernel_shape=size,
    )  # fmt: skip


@writes(layers.Conv, layers.TrueConv, layers.DepthwiseConv, layers.TableConv)
def _conv(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    name, size = x.name, x.shape[:-1]
    first = layer.first(jnp.zeros((1, *x.shape), w.dtype))
    if first is not None:
        name = pad(first, w, x, {}, {})
        size = tuple(h + sum(pair) for h, pair in zip(size, first.padding, strict=True))
    kernel = params["weights" if isinstance(layer, layers.TableConv) else "kernel"]
    if isinstance(layer, layers.TableConv):
        kernel = connected(jnp.asarray(kernel), layer.table, x.shape[-1])
    if isinstance(layer, layers.TrueConv):
        kernel = np.flip(kernel, tuple(range(x.axes)))
    kernel = np.asarray(kernel)
    geometry = parse_geometry(
        "to_onnx", size, kernel.shape[:-2],
        stride=layer.stride, padding="VALID" if first else layer.padding, dilation=layer.dilation,
        input_dilation=getattr(layer, "input_dilation", 1), groups=x.shape[-1] // kernel.shape[-2],
    )  # fmt: skip
    bias = [w.tensor("bias", params["bias"])] if layer.use_bias else []
    return correlation(w, name, geometry, kernel, *bias)


@writes(layers.ConvTranspose)
def _conv_transpose(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    kernel = np.asarray(params["kernel"])
    geometry = parse_transposed_geometry(
        "to_onnx", x.shape[:-1], kernel.shape[:-2], stride=layer.stride, padding=layer.padding,
        output_padding=layer.output_padding, dilation=layer.dilation, groups=layer.groups,
    )  # fmt: skip
    return transposed(w, x.name, geometry, kernel, params.get("bias"))


# Poolings -----------------------------------------------------------------------------------------


def pool_geometry(layer: Any, x: Value) -> Geometry:
    """How the windows of a pooling slide over x."""
    return parse_pool_geometry(
        "to_onnx", x.shape[:-1], layer.window_size, layer.stride, layer.padding, layer.dilation,
        layer.ceil_mode,
    )  # fmt: skip


def window_sum(w: Writer, name: str, g: Geometry, channels: int) -> str:
    """The sum over every window: a convolution with ones, each channel by itself."""
    ones = np.ones((*g.window, 1, channels))
    return correlation(w, name, replace(g, groups=channels), ones)


@writes(layers.MaxPool)
def _max_pool(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    g = pool_geometry(layer, x)
    name, pairs = x.name, g.padding
    if any(max(pair) >= k for pair, k in zip(pairs, g.window, strict=True)):
        # onnxruntime takes no padding as wide as the taps, however far apart they are.
        name, pairs = padded(w, name, pairs, -np.inf), ((0, 0),) * g.axes
    return w.add(
        "MaxPool", name,
        kernel_shape=g.window, strides=g.stride, pads=pads(pairs), dilations=g.dilation,
    )  # fmt: skip


@writes(layers.SumPool)
def _sum_pool(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    return window_sum(w, x.name, pool_geometry(layer, x), x.shape[-1])


@writes(layers.AvgPool)
def _avg_pool(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    g = pool_geometry(layer, x)
    within = all(max(pair) < k for pair, k in zip(g.padding, g.window, strict=True))
    if within and set(g.dilation) == {1} and not g.overhang:
        return w.add(
            "AveragePool", x.name, kernel_shape=g.window, strides=g.stride, pads=pads(g.padding),
            count_include_pad=int(layer.count_include_pad),
        )  # fmt: skip
    # What the elements of a window are divided by depends on its place alone: how many are there.
    total = window_sum(w, x.name, g, x.shape[-1])
    there = jnp.ones((1, *x.shape[:-1], 1), jnp.float32)
    share = layers.AvgPool(
        g.window, g.stride, layer.padding, g.dilation, layer.ceil_mode, layer.count_include_pad
    )
    count = layers.SumPool(g.window, g.stride, layer.padding, g.dilation, layer.ceil_mode)
    parts = (pool.apply({}, {}, there)[0] for pool in (share, count))
    weight = np.divide(*map(np.asarray, parts))
    return w.add("Mul", total, w.tensor("shares", np.moveaxis(weight, -1, 1)))


@writes(layers.LpPool)
def _lp_pool(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    powers = w.add("Pow", w.add("Abs", x.name), w.tensor("p", layer.p))
    total = window_sum(w, powers, pool_geometry(layer, x), x.shape[-1])
    return w.add("Pow", total, w.tensor("root", 1 / layer.p))


@writes(layers.GlobalMaxPool, layers.GlobalAvgPool)
def _global_pool(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    kind = "GlobalMaxPool" if isinstance(layer, layers.GlobalMaxPool) else "GlobalAveragePool"
    y = w.add(kind, x.name)
    return y if layer.keepdims else w.add("Flatten", y, axis=1)


@writes(layers.AdaptiveMaxPool, layers.AdaptiveAvgPool)
def _adaptive_pool(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    """Axis by axis: a slice for every window, its maximum or mean, and all side by side."""
    kind = "ReduceMax" if isinstance(layer, layers.AdaptiveMaxPool) else "ReduceMean"
    geometry = AdaptiveGeometry(x.shape[:-1], per_axis(layer, "output_size", x.shape))
    y = x.name
    for axis in range(x.axes):
        along = w.integers("axis", [axis + 2])
        parts = []
        for start, end in geometry.windows(axis):
            bounds = w.integers("start", [start]), w.integers("end", [end])
            parts.append(w.add(kind, w.add("Slice", y, *bounds, along), along, keepdims=1))
        y = w.add("Concat", *parts, axis=axis + 2) if len(parts) > 1 else parts[0]
    return y


@writes(layers.Upsample)
def _upsample(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    scales = w.tensor("scales", [1, 1, *per_axis(layer, "size", x.shape)], np.float32)
    return w.add(
        "Resize", x.name, "", scales, mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


@writes(layers.Resize)
def _resize(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    g = parse_resize_geometry(
        "to_onnx", x.shape[:-1], layer.size, layer.scale, layer.method, layer.coordinates,
        layer.rounding,
    )  # fmt: skip
    wanted = w.integers("sizes", g.output) if g.scale is None else w.tensor("scales", g.scale, "f4")
    return w.add(
        "Resize", x.name, "", *([""] if g.scale is None else []), wanted,
        axes=list(range(2, 2 + x.axes)), mode=layer.method, nearest_mode=layer.rounding,
        coordinate_transformation_mode=layer.coordinates,
    )  # fmt: skip


# Patches ------------------------------------------------------------------------------------------


def one_tap_each(g: Geometry, channels: int) -> np.ndarray:
    """A kernel whose filters read one tap each, of every channel by itself: c, then kh kw."""
    taps = np.eye(g.taps).reshape(*g.window, 1, g.taps)
    return np.tile(taps, (1,) * (g.axes + 1) + (channels,))


@writes(layers.Patches)
def _patches(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    window, c = per_axis(layer, "window_size", x.shape), x.shape[-1]
    g = parse_geometry(
        "to_onnx", x.shape[:-1], window, stride=layer.stride, padding=layer.padding,
        dilation=layer.dilation, groups=c,
    )  # fmt: skip
    y = correlation(w, x.name, g, one_tap_each(g, c))
    return exchanged(w, y, c, g.taps, g.output)


@writes(layers.Fold)
def _fold(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    window = per_axis(layer, "window_size", x.shape)
    size = per_axis(layer, "input_size", x.shape)
    c = x.shape[-1] // int(np.prod(window))
    g = parse_geometry(
        "to_onnx", size, window, stride=layer.stride, padding=layer.padding,
        dilation=layer.dilation, groups=c,
    )  # fmt: skip
    return transposed(w, exchanged(w, x.name, g.taps, c, g.output), g, one_tap_each(g, c))


def exchanged(w: Writer, name: str, a: int, b: int, space: Any) -> str:
    """Channels of two parts in the other order: (a b) → (b a)."""
    split = w.add("Reshape", name, w.integers("split", [-1, a, b, *space]))
    turned = w.transpose(split, [0, 2, 1, *range(3, 3 + len(space))])
    return w.add("Reshape", turned, w.integers("joined", [-1, a * b, *space]))


MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@writes(layers.Pad)
def pad(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    """Padding as a layer of its own."""
    pairs = parse_geometry(
        "to_onnx", x.shape[:-1], (1,) * x.axes, stride=1, padding=layer.padding
    ).padding
    if layer.mode == "zeros":
        return padded(w, x.name, pairs)
    amounts = w.integers("pads", pads([(0, 0), (0, 0), *pairs]))
    return w.add("Pad", x.name, amounts, mode=MODES[layer.mode])
