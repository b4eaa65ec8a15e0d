"""Layers that move elements."""

import math
from typing import Any

from jaxcnn import layers
from jaxcnn.interop.onnx.export.windows import dilated
from jaxcnn.interop.onnx.export.writer import Value, Writer, writes
from jaxcnn.layers.base import per_axis


@writes(layers.Flatten)
def _flatten(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    # In the order of the layers, h w c, in which the weights behind it are.
    alone = math.prod(x.shape[:-1]) == 1
    return w.add("Flatten", x.name if alone else w.last(x), axis=1)


@writes(layers.Unflatten)
def _unflatten(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    shape = tuple(layer.shape)
    y = w.add("Reshape", w.last(x), w.integers("shape", [-1, *shape]))
    return w.first(y, len(shape) - 1)


@writes(layers.Subsample)
def _subsample(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    axes = range(2, x.axes + 2)
    bounds = [0] * x.axes, x.shape[:-1], axes, per_axis(layer, "rate", x.shape)
    return w.add("Slice", x.name, *(w.integers("bounds", numbers) for numbers in bounds))


@writes(layers.Dilate)
def _dilate(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    return dilated(w, x.name, per_axis(layer, "rate", x.shape), x.shape[-1])


@writes(layers.PixelShuffle)
def _pixel_shuffle(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    """(c b₁ b₂) h w → c (h b₁) (w b₂), or with the offsets before the channels."""
    block, (*space, c) = per_axis(layer, "block", x.shape), x.shape
    d, n = c // math.prod(block), x.axes
    behind = layer.order == "CRD"
    parts = [d, *block] if behind else [*block, d]
    split = w.add("Reshape", x.name, w.integers("split", [-1, *parts, *space]))
    offsets = range(2, 2 + n) if behind else range(1, 1 + n)
    order = [0, 1 if behind else 1 + n]
    for axis, offset in enumerate(offsets):
        order += [2 + n + axis, offset]
    shape = [-1, d, *(h * b for h, b in zip(space, block, strict=True))]
    return w.add("Reshape", w.transpose(split, order), w.integers("joined", shape))


@writes(layers.PixelUnshuffle)
def _pixel_unshuffle(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    """c (h b₁) (w b₂) → (c b₁ b₂) h w, or with the offsets before the channels."""
    block, (*space, c) = per_axis(layer, "block", x.shape), x.shape
    small = [h // b for h, b in zip(space, block, strict=True)]
    parts = [size for pair in zip(small, block, strict=True) for size in pair]
    split = w.add("Reshape", x.name, w.integers("split", [-1, c, *parts]))
    places, offsets = range(2, 2 + 2 * x.axes, 2), range(3, 3 + 2 * x.axes, 2)
    order = [0, 1, *offsets] if layer.order == "CRD" else [0, *offsets, 1]
    shape = [-1, c * math.prod(block), *small]
    turned = w.transpose(split, [*order, *places])
    return w.add("Reshape", turned, w.integers("joined", shape))


@writes(layers.Embedding)
def _embedding(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    y = w.add("Gather", w.tensor("table", params["table"]), x.name, axis=0)
    return w.first(y, len(x.shape))
