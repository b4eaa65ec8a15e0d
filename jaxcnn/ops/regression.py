"""Regression losses: functions of the error d = y − t, so that ∂t = −∂y.

Per example the outputs' losses are added up; see `jaxcnn.ops.loss` for how that relates to PyTorch.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.ops.loss import (
    REDUCTIONS,
    check_outputs,
    check_targets,
    per_example,
    reduced,
    sigmoid_error,
)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def squared_error_map(
    predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    """E = ½ Σ d², d = y − t.  ∂y = d,  ∂t = −d.

    Quan, "Finding Bounding Boxes" (L2 loss); Huang, "Output layer" (least square error).
    """
    error = widen(predictions - targets)
    return reduced(0.5 * (error * error).sum(-1), reduction).astype(predictions.dtype)


def _squared_error_fwd(predictions, targets, reduction):
    return squared_error_map(predictions, targets, reduction), predictions - targets


def _squared_error_bwd(reduction, error, g):
    delta = per_example(g, error.shape[:-1], reduction)[..., None] * widen(error)
    delta = delta.astype(error.dtype)
    return delta, -delta


squared_error_map.defvjp(_squared_error_fwd, _squared_error_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def sigmoid_squared_error_map(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    """E = ½ Σ (t − y)², y = sigmoid(u).  ∂u = (y − t) y (1 − y),  ∂t = t − y.

    Huang, "Output layer" (least square error).
    """
    error, _, _ = sigmoid_error(logits, targets)
    return reduced(0.5 * (error * error).sum(-1), reduction).astype(logits.dtype)


def _sigmoid_squared_error_fwd(logits, targets, reduction):
    return sigmoid_squared_error_map(logits, targets, reduction), (logits, targets)


def _sigmoid_squared_error_bwd(reduction, residuals, g):
    logits, t = residuals
    error, y, rest = sigmoid_error(logits, t)
    delta = per_example(g, t.shape[:-1], reduction)[..., None] * error
    return (delta * (y * rest)).astype(t.dtype), -delta.astype(t.dtype)


sigmoid_squared_error_map.defvjp(_sigmoid_squared_error_fwd, _sigmoid_squared_error_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def absolute_error_map(
    predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    """E = Σ |d|, d = y − t.  ∂y = 1 where d ≥ 0, else −1;  ∂t = −∂y.

    Laplace 1774 (the first law of error); the convention at 0 is that of `jnp.abs`.
    """
    errors = jnp.abs(widen(predictions - targets))
    return reduced(errors.sum(-1), reduction).astype(predictions.dtype)


def _absolute_error_fwd(predictions, targets, reduction):
    return absolute_error_map(predictions, targets, reduction), predictions >= targets


def _absolute_error_bwd(reduction, above, g):
    rows = per_example(g, above.shape[:-1], reduction)[..., None]
    gradient = (rows * (above.astype(rows.dtype) * 2 - 1)).astype(g.dtype)
    return gradient, -gradient


absolute_error_map.defvjp(_absolute_error_fwd, _absolute_error_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def huber_map(
    predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], delta: float, reduction: str
) -> Float[Array, "*n"]:
    """E = Σ ½ d² where |d| ≤ Δ, else Δ (|d| − ½ Δ), d = y − t.  ∂y = min(max(d, −Δ), Δ),  ∂t = −∂y.

    Huber 1964, "Robust Estimation of a Location Parameter", equation 2.6.
    """
    return _huber(widen(predictions - targets), delta, reduction).astype(predictions.dtype)


def _huber_fwd(predictions, targets, delta, reduction):
    return huber_map(predictions, targets, delta, reduction), predictions - targets


def _huber_bwd(delta, reduction, error, g):
    g = per_example(g, error.shape[:-1], reduction)[..., None]
    gradient = (g * _clipped(widen(error), delta)).astype(error.dtype)
    return gradient, -gradient


huber_map.defvjp(_huber_fwd, _huber_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def smooth_l1_map(
    predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], beta: float, reduction: str
) -> Float[Array, "*n"]:
    """E = Σ ½ d²/β where |d| ≤ β, else |d| − ½ β, d = y − t.  ∂y = min(max(d/β, −1), 1),  ∂t = −∂y.

    Girshick 2015, "Fast R-CNN", equation 3 (β = 1). It is Huber's loss, Δ = β, divided by β.
    """
    size = jnp.abs(widen(predictions - targets))
    limit, root = _limit_and_root(beta, size)
    # |d|/β, at most 1, before any product: neither d² nor β² has to be a number of the dtype.
    share = jnp.minimum(size * root * root, 1)
    losses = share * (size - 0.5 * jnp.minimum(size, limit))
    return reduced(losses.sum(-1), reduction).astype(predictions.dtype)


def _smooth_l1_fwd(predictions, targets, beta, reduction):
    return smooth_l1_map(predictions, targets, beta, reduction), predictions - targets


def _smooth_l1_bwd(beta, reduction, error, g):
    g = per_example(g, error.shape[:-1], reduction)[..., None]
    wide = widen(error)
    limit, root = _limit_and_root(beta, wide)
    ones = jnp.ones_like(wide)
    slope = jnp.where(wide > limit, ones, jnp.where(wide < -limit, -ones, wide * root * root))
    gradient = (g * slope).astype(error.dtype)
    return gradient, -gradient


smooth_l1_map.defvjp(_smooth_l1_fwd, _smooth_l1_bwd)


def _limit_and_root(beta: float, error: Array) -> tuple[float, float]:
    """β and 1/√β; for a β of which the dtype makes 0, those of its smallest number."""
    beta = max(beta, float(jnp.finfo(error.dtype).tiny))
    return _held(beta, error), beta**-0.5


def _held(limit: float, error: Array) -> float:
    """The limit, or the largest number of the dtype, which no error exceeds either."""
    return min(limit, float(jnp.finfo(error.dtype).max))


def _huber(error: Array, delta: float, reduction: str) -> Array:
    size = jnp.abs(error)
    inside = jnp.minimum(
        size, _held(delta, size)
    )  # ½ d² inside, and no d² of a large d, which might overflow
    return reduced((inside * (size - 0.5 * inside)).sum(-1), reduction)


def _clipped(error: Array, limit: float) -> Array:
    """d, but at most the limit in size; by selections, which are arithmetic."""
    limit = _held(limit, error)
    limits = jnp.full_like(error, limit)
    return jnp.where(error > limit, limits, jnp.where(error < -limit, -limits, error))


def squared_error(
    predictions: Float[ArrayLike, "*n k"],
    targets: Float[ArrayLike, "*n k"],
    *,
    reduction: str = "mean",
    rule: Callable[..., Any] = squared_error_map,
) -> Float[Array, "*n"]:
    """E = ½ Σ (y − t)², averaged over the batch by default.

    Backward, with d = y − t: ∂y = d; ∂t = −d.
    PyTorch's `mse_loss` lacks the ½: its "sum" is twice this one's.
    Source: Quan, "Finding Bounding Boxes" (L2 loss); Huang, "Output layer" (least square error).

    Args:
        predictions: the outputs y of an example last; their losses are added up.
        targets: of the shape of the predictions.
        reduction: "mean" over the examples, "sum", or "none".
        rule: the map to apply, hand-written (`squared_error_map`) or a twin.

    Raises:
        TypeError: an argument is no float array, or the dtypes differ.
        ValueError: the shapes differ.
    """
    predictions, targets, reduction = _arguments("squared_error", predictions, targets, reduction)
    return rule(*vary_together(predictions, targets), reduction)


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
    logits = check_outputs(op, "logits", logits)
    reduction = check.choice(op, "reduction", reduction, REDUCTIONS)
    targets = check_targets(op, targets, ("logits", logits))
    return rule(*vary_together(logits, targets), reduction)


def absolute_error(
    predictions: Float[ArrayLike, "*n k"],
    targets: Float[ArrayLike, "*n k"],
    *,
    reduction: str = "mean",
    rule: Callable[..., Any] = absolute_error_map,
) -> Float[Array, "*n"]:
    """E = Σ |y − t|, averaged over the batch by default.

    Backward, with d = y − t: ∂y = 1 where d ≥ 0, else −1; ∂t = −∂y.
    At d = 0 that is 1, as for `jnp.abs`, where PyTorch's `l1_loss` has 0.
    Source: Laplace 1774 (the first law of error).

    Args:
        predictions: the outputs y of an example last; their losses are added up.
        targets: of the shape of the predictions.
        reduction: "mean" over the examples, "sum", or "none".
        rule: the map to apply, hand-written (`absolute_error_map`) or a twin.

    Raises:
        TypeError: an argument is no float array, or the dtypes differ.
        ValueError: the shapes differ.
    """
    predictions, targets, reduction = _arguments("absolute_error", predictions, targets, reduction)
    return rule(*vary_together(predictions, targets), reduction)


def huber(
    predictions: Float[ArrayLike, "*n k"],
    targets: Float[ArrayLike, "*n k"],
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    rule: Callable[..., Any] = huber_map,
) -> Float[Array, "*n"]:
    """E = Σ ½ d² where |d| ≤ Δ, else Δ (|d| − ½ Δ), d = y − t; averaged over the batch by default.

    Backward, with d = y − t: ∂y = min(max(d, −Δ), Δ); ∂t = −∂y.
    The second derivative at |d| = Δ is 1. PyTorch's `huber_loss` is the same per output.
    Source: Huber 1964, "Robust Estimation of a Location Parameter", equation 2.6.

    Args:
        predictions: the outputs y of an example last; their losses are added up.
        targets: of the shape of the predictions.
        delta: the error Δ from which on the loss is straight; positive.
        reduction: "mean" over the examples, "sum", or "none".
        rule: the map to apply, hand-written (`huber_map`) or a twin.

    Raises:
        TypeError: an argument is no float array, or the dtypes differ.
        ValueError: the shapes differ, or delta is not positive.
    """
    predictions, targets, reduction = _arguments("huber", predictions, targets, reduction)
    delta = check.number("huber", "delta", delta, positive=True)
    return rule(*vary_together(predictions, targets), delta, reduction)


def smooth_l1(
    predictions: Float[ArrayLike, "*n k"],
    targets: Float[ArrayLike, "*n k"],
    *,
    beta: float = 1.0,
    reduction: str = "mean",
    rule: Callable[..., Any] = smooth_l1_map,
) -> Float[Array, "*n"]:
    """E = Σ ½ d²/β where |d| ≤ β, else |d| − ½ β, d = y − t; averaged over the batch by default.

    Backward, with d = y − t: ∂y = min(max(d/β, −1), 1); ∂t = −∂y.
    PyTorch's `smooth_l1_loss` is the same per output; its β = 0 is `absolute_error` here.
    Source: Girshick 2015, "Fast R-CNN", equation 3 (box regression).

    Args:
        predictions: the outputs y of an example last; their losses are added up.
        targets: of the shape of the predictions.
        beta: the error β from which on the loss is straight; positive.
        reduction: "mean" over the examples, "sum", or "none".
        rule: the map to apply, hand-written (`smooth_l1_map`) or a twin.

    Raises:
        TypeError: an argument is no float array, or the dtypes differ.
        ValueError: the shapes differ, or beta is not positive.
    """
    predictions, targets, reduction = _arguments("smooth_l1", predictions, targets, reduction)
    beta = check.number("smooth_l1", "beta", beta, positive=True)
    return rule(*vary_together(predictions, targets), beta, reduction)


def _arguments(
    op: str, predictions: ArrayLike, targets: ArrayLike, reduction: str
) -> tuple[Array, Array, str]:
    predictions = check_outputs(op, "predictions", predictions)
    targets = check_targets(op, targets, ("predictions", predictions))
    return predictions, targets, check.choice(op, "reduction", reduction, REDUCTIONS)
