"""Losses: per example the sum over its outputs, over the batch the mean (or the sum, or none).

Each rule is the textbook's δ at the logits, y − t in some guise, times the gradient that comes in.
Huang sums over the samples, Quan averages; averaging is the default. The last axis holds the
outputs of an example; every leading axis counts as examples.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Integer, Num

from jaxcnn import check
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.ops.activation import log_softmax_map, sigmoid_map
from jaxcnn.ops.elementary import exp

REDUCTIONS = ("mean", "sum", "none")


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def softmax_cross_entropy_map(
    logits: Float[Array, "*n k"],
    targets: Float[Array, "*n k"] | Integer[Array, "*n"],
    reduction: str,
) -> Float[Array, "*n"]:
    """E = −Σ t ln y, y = softmax(u).  ∂u = y Σt − t (y − t where Σt = 1),  ∂t = −ln y.

    Integer targets are labels: t is their one-hot code, and they have no gradient.
    Huang, "Output layer"; Gormley, "Softmax Layer".
    """
    log_y: Array = log_softmax_map(logits, logits.ndim - 1)
    t = _distribution(targets, log_y)
    # 0 · ln 0 = 0: a class that cannot occur and does not occur costs nothing.
    terms = jnp.where(t == 0, jnp.zeros_like(log_y), t * log_y)
    return _reduce(-widen(terms).sum(-1), reduction).astype(logits.dtype)


def _softmax_cross_entropy_fwd(logits, targets, reduction):
    # The logarithm is computed once: under jit, XLA merges the two identical calls.
    log_y = log_softmax_map(logits, logits.ndim - 1)
    return softmax_cross_entropy_map(logits, targets, reduction), (log_y, targets)


def _softmax_cross_entropy_bwd(reduction, residuals, g):
    log_y, targets = residuals
    g = _per_example(g, log_y.shape[:-1], reduction)[..., None]
    t = _distribution(targets, log_y)
    labelled = jnp.issubdtype(targets.dtype, jnp.integer)
    delta = g * (exp(log_y) * t.sum(-1, keepdims=True) - t)
    return delta, None if labelled else -g * log_y


softmax_cross_entropy_map.defvjp(_softmax_cross_entropy_fwd, _softmax_cross_entropy_bwd)


def _distribution(targets: Array, like: Array) -> Array:
    """The targets as numbers per class. A label outside gives a row of NaN, not of 0."""
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        return targets
    classes = jax.lax.broadcasted_iota(targets.dtype, like.shape, like.ndim - 1)
    labels = targets[..., None]
    inside = (labels >= 0) & (labels < like.shape[-1])
    other = jnp.where(inside, jnp.zeros_like(like), jnp.full_like(like, jnp.nan))
    return jnp.where(classes == labels, jnp.ones_like(like), other)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def sigmoid_squared_error_map(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    """E = ½ Σ (t − y)², y = sigmoid(u).  ∂u = (y − t) y (1 − y),  ∂t = t − y.

    Huang, "Output layer" (least square error).
    """
    error = widen(targets - sigmoid_map(logits))
    return _reduce(0.5 * (error * error).sum(-1), reduction).astype(logits.dtype)


def _sigmoid_squared_error_fwd(logits, targets, reduction):
    y = sigmoid_map(logits)
    return sigmoid_squared_error_map(logits, targets, reduction), (y, targets)


def _sigmoid_squared_error_bwd(reduction, residuals, g):
    y, t = residuals
    delta = _per_example(g, y.shape[:-1], reduction)[..., None] * (y - t)
    return delta * (y * (1 - y)), -delta


sigmoid_squared_error_map.defvjp(_sigmoid_squared_error_fwd, _sigmoid_squared_error_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def sigmoid_binary_cross_entropy_map(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    """E = −Σ t ln y + (1 − t) ln(1 − y), y = sigmoid(u).  ∂u = y − t,  ∂t = −u.

    Gormley, "Case 1: Logistic Regression" (there J = −E).
    """
    # ln(1 + e^u) − t u, without overflow for large |u|.
    wide = widen(logits)
    losses = jnp.maximum(wide, 0) + jnp.log1p(jnp.exp(-jnp.abs(wide))) - widen(targets) * wide
    return _reduce(losses.sum(-1), reduction).astype(logits.dtype)


def _sigmoid_binary_cross_entropy_fwd(logits, targets, reduction):
    return sigmoid_binary_cross_entropy_map(logits, targets, reduction), (logits, targets)


def _sigmoid_binary_cross_entropy_bwd(reduction, residuals, g):
    logits, t = residuals
    g = _per_example(g, logits.shape[:-1], reduction)[..., None]
    return g * (sigmoid_map(logits) - t), -g * logits


sigmoid_binary_cross_entropy_map.defvjp(
    _sigmoid_binary_cross_entropy_fwd, _sigmoid_binary_cross_entropy_bwd
)


def _reduce(losses: Array, reduction: str) -> Array:
    """One number per example → what the reduction makes of them."""
    match reduction:
        case "none":
            return losses
        case "sum":
            return losses.sum()
    return losses.sum() * (1 / losses.size)


def _per_example(g: Array, shape: tuple[int, ...], reduction: str) -> Array:
    """The transpose of `_reduce`: the incoming gradient, one number per example."""
    if reduction == "none":
        return g
    count = math.prod(shape) if reduction == "mean" else 1
    return jnp.broadcast_to(g * (1 / count), shape)


def softmax_cross_entropy(
    logits: Float[ArrayLike, "*n k"],
    targets: Num[ArrayLike, "*n k"] | Integer[ArrayLike, "*n"],
    *,
    reduction: str = "mean",
    rule: Callable[..., Any] = softmax_cross_entropy_map,
) -> Float[Array, "*n"]:
    """E = −Σ t ln y with y = softmax(u), one loss per example, averaged over the batch by default.

    Backward, with δ = ∂E/∂u: δ = y Σt − t, which is y − t where the targets sum to one; ∂t = −ln y.
    Source: Huang, "Output layer"; Gormley, "Softmax Layer".

    Args:
        logits: the classes last.
        targets: integers, one label per example, or floats of the shape of the logits: one-hot or
            any others, as they are.
        reduction: "mean" over the examples, "sum", or "none".
        rule: the map to apply, hand-written (`softmax_cross_entropy_map`) or a twin.

    Raises:
        TypeError: logits are no float array, or targets neither integers nor of the same dtype.
        ValueError: the shapes do not fit, or a concrete label is outside [0, classes). A label that
            is only traced cannot be looked at: outside the range it makes loss and gradient NaN.
    """
    op = "softmax_cross_entropy"
    logits = _check_logits(op, logits)
    reduction = check.choice(op, "reduction", reduction, REDUCTIONS)
    if jnp.issubdtype(getattr(targets, "dtype", float), jnp.integer):
        targets = check.integer_array(op, "targets", targets)
        check.shape(op, "targets", targets, logits.shape[:-1])
        check.concrete_range(op, "targets", targets, 0, logits.shape[-1] - 1)
    else:
        targets = _check_targets(op, targets, logits)
    return rule(*vary_together(logits, targets), reduction)


def sigmoid_squared_error(
    logits: Float[ArrayLike, "*n k"],
    targets: Float[ArrayLike, "*n k"],
    *,
    reduction: str = "mean",
    rule: Callable[..., Any] = sigmoid_squared_error_map,
) -> Float[Array, "*n"]:
    """E = ½ Σ (t − y)² with y = sigmoid(u), averaged over the batch by default.

    Backward, with δ = ∂E/∂u: δ = (y − t) y (1 − y); ∂t = t − y.
    Source: Huang, "Output layer" (least square error).

    Args:
        logits: the outputs of an example last.
        targets: of the shape of the logits.
        reduction: "mean" over the examples, "sum", or "none".
        rule: the map to apply, hand-written (`sigmoid_squared_error_map`) or a twin.

    Raises:
        TypeError: an argument is no float array, or the dtypes differ.
        ValueError: the shapes differ.
    """
    op = "sigmoid_squared_error"
    logits = _check_logits(op, logits)
    reduction = check.choice(op, "reduction", reduction, REDUCTIONS)
    targets = _check_targets(op, targets, logits)
    return rule(*vary_together(logits, targets), reduction)


def sigmoid_binary_cross_entropy(
    logits: Float[ArrayLike, "*n k"],
    targets: Float[ArrayLike, "*n k"],
    *,
    reduction: str = "mean",
    rule: Callable[..., Any] = sigmoid_binary_cross_entropy_map,
) -> Float[Array, "*n"]:
    """E = −Σ t ln y + (1 − t) ln(1 − y), y = sigmoid(u); averaged over the batch by default.

    Backward, with δ = ∂E/∂u: δ = y − t; ∂t = −u.
    Source: Gormley, "Case 1: Logistic Regression" (his J is −E).

    Args:
        logits: the outputs of an example last; their losses are added up.
        targets: of the shape of the logits, in [0, 1].
        reduction: "mean" over the examples, "sum", or "none".
        rule: the map to apply, hand-written (`sigmoid_binary_cross_entropy_map`) or a twin.

    Raises:
        TypeError: an argument is no float array, or the dtypes differ.
        ValueError: the shapes differ, or a concrete target is outside [0, 1].
    """
    op = "sigmoid_binary_cross_entropy"
    logits = _check_logits(op, logits)
    reduction = check.choice(op, "reduction", reduction, REDUCTIONS)
    targets = _check_targets(op, targets, logits)
    check.concrete_range(op, "targets", targets, 0, 1)
    return rule(*vary_together(logits, targets), reduction)


def _check_logits(op: str, logits: ArrayLike) -> Array:
    array = check.float_array(op, "logits", logits)
    if array.ndim < 2:
        raise ValueError(
            f"{op}: logits must have a batch axis and one for the outputs, got shape {array.shape}"
        )
    return array


def _check_targets(op: str, targets: ArrayLike, logits: Array) -> Array:
    array = check.float_array(op, "targets", targets, like=("logits", logits))
    check.shape(op, "targets", array, logits.shape)
    return array
