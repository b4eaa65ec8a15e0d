"""Activations, element by element or along an axis."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, nn

from jaxcnn.interop.onnx.table import Node, operator, words
from jaxcnn.interop.onnx.values import as_floats, is_float, known, library
from jaxcnn.ops.activation import log_softmax, relu, sigmoid, softmax, tanh
from jaxcnn.ops.rectifiers import (
    celu,
    elu,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    leaky_relu,
    prelu,
    relu6,
)
from jaxcnn.ops.shrinkage import soft_shrink, thresholded_relu
from jaxcnn.ops.smooth import erf, gelu, mish, silu, softplus, softsign


def _plain(kind: str, newest: int, op: Callable[..., Array]) -> None:
    @operator(kind, newest, op, layout="each")
    def _activation(node: Node, x: Any) -> Array:
        return node.of(op)(x)


_plain("Sigmoid", 13, sigmoid)
_plain("Tanh", 13, tanh)
_plain("Softplus", 22, softplus)
_plain("Mish", 22, mish)
_plain("HardSwish", 22, hard_swish)
_plain("Softsign", 22, softsign)
_plain("Erf", 13, erf)


@operator("Relu", 14, relu, layout="each")
def _relu(node: Node, x: Any) -> Any:
    return node.of(relu)(x) if is_float(x) else library(x).maximum(x, np.zeros((), x.dtype))


@operator("LeakyRelu", 16, leaky_relu, layout="each")
def _leaky_relu(node: Node, x: Any) -> Array:
    return node.of(leaky_relu)(x, node.get("alpha", 0.01))


@operator("Elu", 22, elu, layout="each")
def _elu(node: Node, x: Any) -> Array:
    return _elu_of(node, x, node.get("alpha", 1.0))


def _elu_of(node: Node, x: Any, alpha: float) -> Array:
    return _rising(x, alpha, 1.0) if alpha < 0 else node.of(elu)(x, alpha)


def _rising(x: Any, alpha: float, width: float) -> Array:
    """α (e^(x/width) − 1) where x is not above 0: for an α below 0, which no rule has."""
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, 0, x) / width))


@operator("Selu", 22, elu, layout="each")
def _selu(node: Node, x: Any) -> Array:
    # With the file's own digits of α and λ.
    alpha, scale = node.get("alpha", 1.67326319217681884765625), node.get("gamma", 1.05070102214813)
    return jnp.asarray(scale, x.dtype) * _elu_of(node, x, alpha)


@operator("Celu", 28, celu, layout="each")
def _celu(node: Node, x: Any) -> Array:
    alpha = node.get("alpha", 1.0)
    return _rising(x, alpha, alpha) if alpha < 0 else node.of(celu)(x, alpha)


@operator("HardSigmoid", 22, hard_sigmoid, layout="each")
def _hard_sigmoid(node: Node, x: Any) -> Array:
    slope, middle = node.get("alpha", 0.2), node.get("beta", 0.5)
    # Ours is min(max(x + 3, 0), 6) / 6.
    shifted = jnp.asarray(6 * slope, x.dtype) * x + jnp.asarray(6 * middle - 3, x.dtype)
    return node.of(hard_sigmoid)(shifted)


@operator("Gelu", 20, gelu, layout="each")
def _gelu(node: Node, x: Any) -> Array:
    form = words(node, "approximate", "none", ("none", "tanh"))
    return node.of(gelu)(x, approximate=form == "tanh")


@operator("Swish", 24, silu, layout="each")
def _swish(node: Node, x: Any) -> Array:
    alpha = node.get("alpha", 1.0)
    if alpha == 1:
        return node.of(silu)(x)
    wide = jnp.asarray(alpha, x.dtype)
    return node.of(silu)(wide * x) / wide


@operator("PRelu", 16, prelu, layout="each")
def _prelu(node: Node, x: Any, slope: Any) -> Array:
    if not is_float(x):
        return jnp.where(x < 0, slope * x, x)
    return node.of(prelu)(x, slope)


@operator("ThresholdedRelu", 22, thresholded_relu, layout="each")
def _thresholded_relu(node: Node, x: Any) -> Array:
    return node.of(thresholded_relu)(x, node.get("alpha", 1.0))


@operator("Shrink", 9, soft_shrink, layout="each")
def _shrink(node: Node, x: Any) -> Array:
    threshold, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    if is_float(x) and not threshold < 0:
        return node.of(soft_shrink)(x, threshold, bias)
    # The definition, for what the rule refuses; integers lose the fraction.
    wide = as_floats(x)
    above = jnp.where(wide > threshold, wide - bias, jnp.zeros_like(wide))
    return jnp.where(wide < -threshold, wide + bias, above).astype(x.dtype)


@operator("Clip", 13, relu, relu6, hard_tanh, settings=(1, 2), layout="each")
def _clip(node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    low, high = _bound(node, "min", low), _bound(node, "max", high)
    for bounds, op in (((0, None), relu), ((0, 6), relu6), ((-1, 1), hard_tanh)):
        if (low, high) == bounds and is_float(x) and not known(x):
            return node.of(op)(x)
    np_or_jnp = library(x)
    if low is not None:
        x = np_or_jnp.where(x < low, np.asarray(low, x.dtype), x)
    return x if high is None else np_or_jnp.where(x > high, np.asarray(high, x.dtype), x)


def _bound(node: Node, name: str, given: Any) -> Any:
    """A bound, or None: files may say that by the last number of its dtype."""
    value = node.get(name) if given is None else given
    if value is None:
        return None
    if not known(given):
        raise node.fail(f"{name} must be known before the program runs")
    bound, last = np.ravel(value)[0].item(), math.inf
    if given is None or is_float(given):  # an attribute is a float of 32 bits
        last = float(jnp.finfo(jnp.float32 if given is None else given.dtype).max)
    return None if (-bound if name == "min" else bound) >= last else bound


def _along(node: Node, x: Any, f: Callable[[Array], Array]) -> Array:
    """f along an axis; before version 13 along all from it to the last."""
    x = jnp.asarray(x)
    (axis,) = node.axes([node.get("axis", -1 if node.version >= 13 else 1)], max(x.ndim, 1))
    if node.version >= 13:
        return jnp.moveaxis(f(jnp.moveaxis(x, axis, -1)), -1, axis)
    return f(x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))).reshape(x.shape)


@operator("Softmax", 13, softmax)
def _softmax(node: Node, x: Any) -> Array:
    return _along(node, x, node.of(softmax))


@operator("LogSoftmax", 13, log_softmax)
def _log_softmax(node: Node, x: Any) -> Array:
    return _along(node, x, node.of(log_softmax))


@operator("Hardmax", 13)
def _hardmax(node: Node, x: Any) -> Array:
    return _along(node, x, lambda x: nn.one_hot(jnp.argmax(x, -1), x.shape[-1], dtype=x.dtype))
