"""Activations: δ = ∂E/∂y • f′(u), with f′ in terms of the output where that loses nothing.

1 − y loses digits where y → 1: a sigmoid and its relatives take y and 1 − y from e^−|u|, a softmax
measures from the one y above ½, and its logarithm has 1 − e^y = −expm1(y).
"""

from functools import partial

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.ops.elementary import exp, expm1
from jaxcnn.ops.gate import gate_map
from jaxcnn.rules import Function, custom_rule, sloped, unary


@unary(keep=lambda x, y: y > jnp.zeros_like(y), back=gate_map)
def relu_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    return jnp.maximum(x, jnp.zeros_like(x))


@entry.operation
def relu(x: Float[ArrayLike, "*n"], *, rule: Function = relu_map) -> Float[Array, "*n"]:
    """y = max(x, 0), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where x > 0, else 0; at the kink, relu′(0) = 0.
    Source: Gormley, "ReLU Layer"; Ray, "BP for a ReLU layer".
    """
    return rule(check.float_array("relu", "x", x))


def _curvature(x: Array) -> Array:
    return -sigmoid_slope(x) * tanh_map(0.5 * x)


@sloped(_curvature)
def sigmoid_slope(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = s (1 − s), s = sigmoid(x), 1 − s = sigmoid(−x).  With δ = ∂L/∂y:  ∂x = −δ y tanh(x/2)."""
    small = jnp.exp(-jnp.abs(x))
    return small / jnp.square(1 + small)


@sloped(sigmoid_slope)
def sigmoid_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    return lax.logistic(x)


@entry.operation
def sigmoid(x: Float[ArrayLike, "*n"], *, rule: Function = sigmoid_map) -> Float[Array, "*n"]:
    """y = 1 / (1 + e⁻ˣ), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ y (1 − y).
    Source: Gormley, "Derivative of a Sigmoid"; Huang, "Output layer".
    """
    return rule(check.float_array("sigmoid", "x", x))


@sloped(lambda x: 4 * sigmoid_slope(2 * x))
def tanh_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y′ = 1 − y² = 4 s (1 − s), s = sigmoid(2x)."""
    return jnp.tanh(x)


@entry.operation
def tanh(x: Float[ArrayLike, "*n"], *, rule: Function = tanh_map) -> Float[Array, "*n"]:
    """y = tanh x, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ (1 − y²).
    Source: Huang, "Forward pass" (f the activation); LeCun et al. 1998.
    """
    return rule(check.float_array("tanh", "x", x))


def softmax_slope(moved: Array, y: Array, axis: int) -> Array:
    """y_j (g_j − Σ_i g_i y_i), backward and forward: ∂y_j/∂x_i = y_j (δ_ij − y_i) is symmetric."""
    dtype, y, moved = y.dtype, widen(y), widen(moved)
    # To subtract one number from every g changes nothing. Subtract the g of the y above ½, if there
    # is one: the rest is a sum over the others, in which nothing cancels.
    moved = moved - gate_map(moved, y > 0.5).sum(axis, keepdims=True)
    return narrow(y * (moved - (moved * y).sum(axis, keepdims=True)), dtype)


@unary(keep=lambda x, y: y, back=softmax_slope, nondiff_argnums=(1,))
def softmax_map(x: Float[Array, "*n"], axis: int) -> Float[Array, "*n"]:
    wide = widen(x)  # less its maximum, so that nothing overflows
    shifted = jnp.exp(wide - wide.max(axis, keepdims=True))
    return narrow(shifted / shifted.sum(axis, keepdims=True), x.dtype)


@entry.operation
def softmax(
    x: Float[ArrayLike, "*n"], axis: int = -1, *, rule: Function = softmax_map
) -> Float[Array, "*n"]:
    """y = eˣ / Σeˣ along an axis.

    Backward, with g = ∂L/∂y: ∂x_j = y_j (g_j − Σ_i g_i y_i).
    Source: Gormley, "Softmax Layer"; Huang, "Forward pass".

    Args:
        axis: the axis along which the result sums to 1.
    """
    x = check.float_array("softmax", "x", x)
    return rule(x, check.axis("softmax", x, axis))


@partial(custom_rule, nondiff_argnums=(1,))
def log_softmax_map(x: Float[Array, "*n"], axis: int) -> Float[Array, "*n"]:
    wide = widen(x)
    shifted = wide - wide.max(axis, keepdims=True)
    # The largest x has the term 1 in the sum: ln(1 + the rest) keeps a rest of any size.
    largest = (shifted == 0).astype(wide.dtype)
    rest = (jnp.exp(shifted) - largest).sum(axis, keepdims=True)
    equals = largest.sum(axis, keepdims=True) - 1
    return narrow(shifted - jnp.log1p(rest + equals), x.dtype)


def _log_softmax_fwd(x, axis):
    y = log_softmax_map(x, axis)
    return y, y


def _log_softmax_bwd(axis, y, delta):
    dtype, y, delta = y.dtype, widen(y), widen(delta)
    others = delta.sum(axis, keepdims=True) - delta
    return (narrow(-delta * expm1(y) - exp(y) * others, dtype),)


def _log_softmax_tangent(axis, y, dots):
    """ẏ_j = ẋ_j − Σ_i e^(y_i) ẋ_i."""
    wide, share = widen(dots[0]), exp(widen(y))
    # To subtract one number from every ẋ changes nothing: here that of the share above ½.
    wide = wide - gate_map(wide, share > 0.5).sum(axis, keepdims=True)
    return narrow(wide - (share * wide).sum(axis, keepdims=True), y.dtype)


log_softmax_map.defvjp(_log_softmax_fwd, _log_softmax_bwd)
log_softmax_map.defjvp(_log_softmax_tangent)


@entry.operation
def log_softmax(
    x: Float[ArrayLike, "*n"], axis: int = -1, *, rule: Function = log_softmax_map
) -> Float[Array, "*n"]:
    """y = x − ln Σeˣ along an axis.

    Backward, with g = ∂L/∂y: ∂x_j = g_j − e^(y_j) Σ_i g_i.
    Source: Gormley, "Softmax Layer", and the logarithm.

    Args:
        axis: the axis along which the exponentials of the result sum to 1.
    """
    x = check.float_array("log_softmax", "x", x)
    return rule(x, check.axis("log_softmax", x, axis))
