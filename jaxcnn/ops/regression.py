"""Regression losses: functions of the error d = y − t, so that ∂t = −∂y.

Per example the outputs' losses are added up; `jaxcnn.ops.reductions` says how that relates
to PyTorch.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import sharded_like
from jaxcnn.ops.reductions import check_pair, loss_rule, reduced, sigmoid_error
from jaxcnn.rules import Function


@loss_rule(keep=lambda y, t: y - t, slopes=lambda error: (widen(error), -widen(error)))
def squared_error_map(
    predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    error = widen(predictions - targets)
    return reduced(0.5 * (error * error).sum(-1), reduction).astype(predictions.dtype)


@entry.operation
def squared_error(
    predictions: Float[ArrayLike, "*n k"], targets: Float[ArrayLike, "*n k"],
    *, reduction: str = "mean", rule: Function = squared_error_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """E = ½ Σ (y − t)², averaged over the batch by default.

    Backward, with d = y − t: ∂y = d; ∂t = −d.
    PyTorch's `mse_loss` lacks the ½: its "sum" is twice this one's.
    Source: Quan, "Finding Bounding Boxes" (L2 loss); Huang, "Output layer" (least square error).
    """
    return rule(*check_pair("squared_error", "predictions", predictions, targets, reduction))


def _sigmoid_error_slopes(kept):
    error, y, rest = sigmoid_error(*kept)
    return error * (y * rest), -error


@loss_rule(keep=lambda u, t: (u, t), slopes=_sigmoid_error_slopes)
def sigmoid_squared_error_map(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    error, _, _ = sigmoid_error(logits, targets)
    return reduced(0.5 * (error * error).sum(-1), reduction).astype(logits.dtype)


@entry.operation
def sigmoid_squared_error(
    logits: Float[ArrayLike, "*n k"], targets: Float[ArrayLike, "*n k"],
    *, reduction: str = "mean", rule: Function = sigmoid_squared_error_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """E = ½ Σ (t − y)² with y = sigmoid(u), averaged over the batch by default.

    Backward, with δ = ∂E/∂u: δ = (y − t) y (1 − y); ∂t = t − y.
    Source: Huang, "Output layer" (least square error).
    """
    return rule(*check_pair("sigmoid_squared_error", "logits", logits, targets, reduction))


def _signs(above: Array) -> tuple[Array, Array]:
    sign = sharded_like(jnp.where(above, 1.0, -1.0), above)  # constants have no sharding
    return sign, -sign


@loss_rule(keep=lambda y, t: y >= t, slopes=_signs)
def absolute_error_map(
    predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    errors = jnp.abs(widen(predictions - targets))
    return reduced(errors.sum(-1), reduction).astype(predictions.dtype)


@entry.operation
def absolute_error(
    predictions: Float[ArrayLike, "*n k"], targets: Float[ArrayLike, "*n k"],
    *, reduction: str = "mean", rule: Function = absolute_error_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """E = Σ |y − t|, averaged over the batch by default.

    Backward, with d = y − t: ∂y = 1 where d ≥ 0, else −1; ∂t = −∂y.
    At d = 0 that is 1, as for `jnp.abs`, where PyTorch's `l1_loss` has 0.
    Source: Laplace 1774 (the first law of error).
    """
    return rule(*check_pair("absolute_error", "predictions", predictions, targets, reduction))


def _held(limit: float, error: Array) -> float:
    """The limit, but at most the largest number of the dtype, which no error exceeds."""
    return min(limit, float(jnp.finfo(error.dtype).max))


def _huber_slopes(error, delta):
    """The error d, limited to ±Δ; by selections, which are arithmetic."""
    wide = widen(error)
    limit = _held(delta, wide)
    limits = jnp.full_like(wide, limit)
    clipped = jnp.where(wide > limit, limits, jnp.where(wide < -limit, -limits, wide))
    return clipped, -clipped


@loss_rule(keep=lambda y, t, delta: y - t, slopes=_huber_slopes, settings=(2, 3))
def huber_map(
    predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], delta: float, reduction: str
) -> Float[Array, "*n"]:
    size = jnp.abs(widen(predictions - targets))
    inside = jnp.minimum(size, _held(delta, size))  # no d² of a large d, which might overflow
    return reduced((inside * (size - 0.5 * inside)).sum(-1), reduction).astype(predictions.dtype)


@entry.operation
def huber(
    predictions: Float[ArrayLike, "*n k"], targets: Float[ArrayLike, "*n k"],
    *, delta: float = 1.0, reduction: str = "mean", rule: Function = huber_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """E = Σ ½ d² where |d| ≤ Δ, else Δ (|d| − ½ Δ), d = y − t; averaged over the batch by default.

    Backward, with d = y − t: ∂y = min(max(d, −Δ), Δ); ∂t = −∂y.
    The second derivative at |d| = Δ is 1. PyTorch's `huber_loss` is the same per output.
    Source: Huber 1964, "Robust Estimation of a Location Parameter", equation 2.6.

    Args:
        delta: the error Δ from which on the loss is straight; positive.
    """
    *both, reduction = check_pair("huber", "predictions", predictions, targets, reduction)
    return rule(*both, check.positive("huber", "delta", delta), reduction)


def _limit_and_root(beta: float, error: Array) -> tuple[float, float]:
    """β and 1/√β; for a β that the dtype rounds to 0, those of its smallest number."""
    beta = max(beta, float(jnp.finfo(error.dtype).tiny))
    return _held(beta, error), beta**-0.5


def _smooth_l1_slopes(error, beta):
    wide = widen(error)
    limit, root = _limit_and_root(beta, wide)
    ones = jnp.ones_like(wide)
    slope = jnp.where(wide > limit, ones, jnp.where(wide < -limit, -ones, wide * root * root))
    return slope, -slope


@loss_rule(keep=lambda y, t, beta: y - t, slopes=_smooth_l1_slopes, settings=(2, 3))
def smooth_l1_map(
    predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], beta: float, reduction: str
) -> Float[Array, "*n"]:
    size = jnp.abs(widen(predictions - targets))
    limit, root = _limit_and_root(beta, size)
    # |d|/β, at most 1, before any product: neither d² nor β² has to be a number of the dtype.
    share = jnp.minimum(size * root * root, 1)
    losses = share * (size - 0.5 * jnp.minimum(size, limit))
    return reduced(losses.sum(-1), reduction).astype(predictions.dtype)


@entry.operation
def smooth_l1(
    predictions: Float[ArrayLike, "*n k"], targets: Float[ArrayLike, "*n k"],
    *, beta: float = 1.0, reduction: str = "mean", rule: Function = smooth_l1_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """E = Σ ½ d²/β where |d| ≤ β, else |d| − ½ β, d = y − t; averaged over the batch by default.

    Backward, with d = y − t: ∂y = min(max(d/β, −1), 1); ∂t = −∂y.
    It is Huber's loss, Δ = β, divided by β. PyTorch's `smooth_l1_loss` is the same per output; its
    β = 0 is `absolute_error` here.
    Source: Girshick 2015, "Fast R-CNN", equation 3 (box regression).

    Args:
        beta: the error β from which on the loss is straight; positive.
    """
    *both, reduction = check_pair("smooth_l1", "predictions", predictions, targets, reduction)
    return rule(*both, check.positive("smooth_l1", "beta", beta), reduction)
