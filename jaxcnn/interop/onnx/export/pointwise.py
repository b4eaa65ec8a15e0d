"""Layers that act at each place by itself, and activations."""

from collections.abc import Callable
from typing import Any

import numpy as np

import jaxcnn.ops.activation as activation
import jaxcnn.ops.rectifiers as rectifiers
import jaxcnn.ops.smooth as smooth
from jaxcnn import check, layers
from jaxcnn.interop.onnx.export.writer import Value, Writer, writes
from jaxcnn.ops import shrinkage
from jaxcnn.ops.rectifiers import SELU_ALPHA, SELU_SCALE


@writes(layers.Dense)
def _dense(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    weight = np.asarray(params["weight"])
    bias = [w.tensor("bias", params["bias"])] if layer.use_bias else []
    if not x.axes:
        return w.add("Gemm", x.name, w.tensor("weight", weight), *bias)
    y = w.add("MatMul", w.last(x), w.tensor("weight", weight))
    return w.first(w.add("Add", y, *bias) if bias else y, x.axes)


@writes(layers.Maxout)
def _maxout(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    *space, c = x.shape
    parts = w.integers("parts", [-1, c // layer.pieces, layer.pieces, *space])
    y = w.add("Reshape", x.name, parts)
    return w.add("ReduceMax", y, w.integers("axis", [2]), keepdims=0)


@writes(layers.PReLU)
def _prelu(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    return w.add("PRelu", x.name, w.along_channels("slope", params["slope"], x))


@writes(layers.ScaleChannels)
def _scale_channels(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    y = w.add("Mul", x.name, w.along_channels("scale", params["scale"], x))
    return w.add("Add", y, w.along_channels("bias", params["bias"], x)) if layer.use_bias else y


@writes(layers.Scale)
def _scale(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    return w.add("Mul", x.name, w.tensor("factor", layer.factor))


@writes(layers.PadChannels)
def _pad_channels(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    none = [0] * x.axes
    amounts = [0, layer.before, *none, 0, layer.after, *none]
    return w.add("Pad", x.name, w.integers("pads", amounts), w.tensor("value", 0))


@writes(layers.CropChannels)
def _crop_channels(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    ends = [layer.before], [x.shape[-1] - layer.after], [1]
    return w.add("Slice", x.name, *(w.integers("bounds", e) for e in ends))


@writes(layers.Identity, layers.Dropout, layers.SpatialDropout, layers.DropBlock)
def _identity(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    return x.name  # in evaluation


# Activations --------------------------------------------------------------------------------------


def _one(kind: str, **names: str) -> Callable[..., str]:
    """One operator; its attributes by the names of our settings."""

    def write(w: Writer, x: Value, **settings: Any) -> str:
        return w.add(kind, x.name, **{theirs: settings[ours] for ours, theirs in names.items()})

    return write


def _clip(low: float, high: float) -> Callable[..., str]:
    def write(w: Writer, x: Value) -> str:
        return w.add("Clip", x.name, w.tensor("low", low), w.tensor("high", high))

    return write


def _along(kind: str) -> Callable[..., str]:
    def write(w: Writer, x: Value, axis: int) -> str:
        rank = len(x.shape) + 1
        place = axis % rank
        behind = 1 if place == rank - 1 else place + (place > 0)
        return w.add(kind, x.name, axis=behind)

    return write


def _soft_shrink(w: Writer, x: Value, threshold: float, bias: float | None) -> str:
    return w.add("Shrink", x.name, lambd=threshold, bias=threshold if bias is None else bias)


ACTIVATIONS: dict[Callable[..., Any], Callable[..., str]] = {
    activation.relu: _one("Relu"),
    activation.sigmoid: _one("Sigmoid"),
    activation.tanh: _one("Tanh"),
    activation.softmax: _along("Softmax"),
    activation.log_softmax: _along("LogSoftmax"),
    rectifiers.relu6: _clip(0, 6),
    rectifiers.leaky_relu: _one("LeakyRelu", slope="alpha"),
    rectifiers.elu: _one("Elu", alpha="alpha"),
    rectifiers.celu: _one("Celu", alpha="alpha"),
    rectifiers.selu: lambda w, x: w.add("Selu", x.name, alpha=SELU_ALPHA, gamma=SELU_SCALE),
    rectifiers.hard_sigmoid: lambda w, x: w.add("HardSigmoid", x.name, alpha=1 / 6, beta=0.5),
    rectifiers.hard_tanh: _clip(-1, 1),
    rectifiers.hard_swish: _one("HardSwish"),
    smooth.gelu: lambda w, x, approximate: w.add(
        "Gelu", x.name, approximate="tanh" if approximate else "none"
    ),
    smooth.silu: lambda w, x: w.add("Mul", x.name, w.add("Sigmoid", x.name)),
    smooth.mish: _one("Mish"),
    smooth.softplus: _one("Softplus"),
    smooth.softsign: _one("Softsign"),
    smooth.erf: _one("Erf"),
    shrinkage.thresholded_relu: _one("ThresholdedRelu", alpha="alpha"),
    shrinkage.hard_shrink: lambda w, x, threshold: w.add("Shrink", x.name, lambd=threshold),
    shrinkage.soft_shrink: _soft_shrink,
}


@writes(layers.Activation)
def _activation(layer: Any, w: Writer, x: Value, params: Any, state: Any) -> str:
    if layer.op not in ACTIVATIONS:
        raise ValueError(
            f"to_onnx: net must hold activations that ONNX has, got {layer.kind} at "
            f"{check.shown(w.path)}"
        )
    return ACTIVATIONS[layer.op](w, x, **settings(layer))


def settings(layer: Any) -> dict[str, Any]:
    """The settings of an activation, those that it has by default included."""
    from inspect import signature

    parameters = list(signature(layer.op).parameters.values())[1:]
    return {p.name: p.default for p in parameters if p.name != "rule"} | dict(layer.settings)
