"""Layers that normalise."""

from typing import Any

import numpy as np

from jaxcnn import layers
from jaxcnn.interop.onnx.export.writer import Value, Writer, writes
from jaxcnn.layers.norm import _last_axes


def scale_and_bias(layer: Any, w: Writer, params: Any, size: tuple[int, ...]) -> tuple[str, str]:
    """γ and β; 1 and 0 where the layer has none."""
    scale = params["scale"] if layer.use_scale else np.ones(size)
    bias = params["bias"] if layer.use_bias else np.zeros(size)
    return w.tensor("scale", scale), w.tensor("bias", bias)


@writes(layers.BatchNorm)
def _batch_norm(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    affine = scale_and_bias(layer, w, params, x.shape[-1:])
    statistics = w.tensor("mean", state["mean"]), w.tensor("variance", state["variance"])
    return w.add("BatchNormalization", x.name, *affine, *statistics, epsilon=layer.epsilon)


@writes(layers.InstanceNorm)
def _instance_norm(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    affine = scale_and_bias(layer, w, params, x.shape[-1:])
    return w.add("InstanceNormalization", x.name, *affine, epsilon=layer.epsilon)


@writes(layers.GroupNorm)
def _group_norm(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    affine = scale_and_bias(layer, w, params, x.shape[-1:])
    axis = w.integers("axis", [2])
    # ONNX has it for maps alone.
    name = x.name if x.axes else w.add("Unsqueeze", x.name, axis)
    y = w.add("GroupNormalization", name, *affine, epsilon=layer.epsilon, num_groups=layer.groups)
    return y if x.axes else w.add("Squeeze", y, axis)


@writes(layers.LayerNorm)
def _layer_norm(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    size = _last_axes("to_onnx", x.shape, layer.axes)
    affine = scale_and_bias(layer, w, params, size)
    y = w.add("LayerNormalization", w.last(x), *affine, epsilon=layer.epsilon, axis=-len(size))
    return w.first(y, x.axes)


@writes(layers.RMSNorm)
def _rms_norm(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    size = _last_axes("to_onnx", x.shape, layer.axes)
    name = w.last(x)
    square = w.add("Mul", name, name)
    mean = w.add("ReduceMean", square, w.integers("axes", range(-len(size), 0)), keepdims=1)
    root = w.add("Sqrt", w.add("Add", mean, w.tensor("epsilon", layer.epsilon)))
    y = w.add("Div", name, root)
    y = w.add("Mul", y, w.tensor("scale", params["scale"])) if layer.use_scale else y
    return w.first(y, x.axes)


@writes(layers.LocalResponseNorm)
def _local_response_norm(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    alpha = layer.alpha / (layer.size if layer.average else 1)
    if layer.size % 2:
        return w.add(
            "LRN", x.name,
            size=layer.size, bias=layer.k, alpha=alpha * layer.size, beta=layer.beta,
        )  # fmt: skip
    # In ONNX an even window reaches to the other side, and onnxruntime has none.
    none, before = [0] * x.axes, layer.size // 2
    amounts = [0, before, *none, 0, layer.size - 1 - before, *none]
    square = w.add("Mul", x.name, x.name)
    wide = w.add("Pad", square, w.integers("pads", amounts), w.tensor("value", 0))
    axis = w.integers("axis", [1])
    parts = [
        w.add("Slice", wide, w.integers("from", [i]), w.integers("to", [i + x.shape[-1]]), axis)
        for i in range(layer.size)
    ]
    total = w.add("Mul", w.add("Sum", *parts), w.tensor("alpha", alpha))
    spread = w.add("Add", total, w.tensor("k", layer.k))
    return w.add("Div", x.name, w.add("Pow", spread, w.tensor("beta", layer.beta)))
