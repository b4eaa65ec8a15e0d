"""Losses of probabilities: binary cross-entropy from logits, and the Kullback-Leibler divergence.

Each output of the first is a probability of its own: y − t at its logit.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.lowering.precision import widen
from jaxcnn.ops.elementary import log
from jaxcnn.ops.gate import gate_map
from jaxcnn.ops.reductions import check_pair, loss_rule, reduced, sigmoid_error
from jaxcnn.rules import Function


def _binary_slopes(kept):
    logits, targets = kept
    return sigmoid_error(logits, targets)[0], -widen(logits)


@loss_rule(keep=lambda u, t: (u, t), slopes=_binary_slopes, affine=(1,))
def sigmoid_binary_cross_entropy_map(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    # ln(1 + e^u) − t u: no overflow, and no large numbers that cancel where y → t.
    wide = widen(logits)
    straight = wide * jnp.where(wide > 0, 1 - widen(targets), -widen(targets))
    losses = straight + jnp.log1p(jnp.exp(-jnp.abs(wide)))
    return reduced(losses.sum(-1), reduction).astype(logits.dtype)


def sigmoid_binary_cross_entropy(
    logits: Float[ArrayLike, "*n k"], targets: Float[ArrayLike, "*n k"],
    *, reduction: str = "mean", rule: Function = sigmoid_binary_cross_entropy_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """E = −Σ t ln y + (1 − t) ln(1 − y), y = sigmoid(u); averaged over the batch by default.

    Backward, with δ = ∂E/∂u: δ = y − t; ∂t = −u.
    Source: Gormley, "Case 1: Logistic Regression" (his J is −E).

    Args:
        targets: of the shape of the logits, in [0, 1].

    Raises:
        ValueError: a concrete target is outside [0, 1].
    """
    op = "sigmoid_binary_cross_entropy"
    checked = check_pair(op, "logits", logits, targets, reduction)
    check.concrete_range(op, "targets", checked[1], 0, 1)
    return check.rule(op, rule)(*checked)


def _kl_slopes(kept):
    log_y, t = (widen(array) for array in kept)
    occurs = t != 0
    # The first gate changes no value: it keeps the second derivatives symmetric, both 0 at t = 0.
    return -gate_map(t, occurs), gate_map(_log_ratio(log_y, t) + 1, occurs)


@loss_rule(keep=lambda log_y, t: (log_y, t), slopes=_kl_slopes, affine=(0,))
def kl_divergence_map(
    log_predictions: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    t = widen(targets)
    losses = (t * _log_ratio(widen(log_predictions), t)).sum(-1)
    return reduced(losses, reduction).astype(log_predictions.dtype)


def _log_ratio(log_y: Array, t: Array) -> Array:
    """ln t − ln y, and 0 where t = 0, whatever y: no ∞ comes from there, at no order."""
    occurs = t != 0
    return log(jnp.where(occurs, t, jnp.ones_like(t))) - gate_map(log_y, occurs)


def kl_divergence(
    log_predictions: Float[ArrayLike, "*n k"], targets: Float[ArrayLike, "*n k"],
    *, reduction: str = "mean", rule: Function = kl_divergence_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """E = Σ t (ln t − ln y) = KL(t‖y) from ln y, averaged over the batch by default; 0 ln 0 = 0.

    Backward, with ℓ = ln y: ∂ℓ = −t; ∂t = ln t − ℓ + 1, and 0 where t = 0 (there PyTorch has NaN).
    Source: Kullback, Leibler 1951, "On Information and Sufficiency", section 2.

    Args:
        log_predictions: ln y, the classes last, as `log_softmax` makes them.
        targets: probabilities t of the same shape, no negative ones; PyTorch's `kl_div` has the
            same order and meaning, and calls this mean "batchmean".

    Raises:
        ValueError: a concrete target is negative.
    """
    op = "kl_divergence"
    checked = check_pair(op, "log_predictions", log_predictions, targets, reduction)
    check.concrete_range(op, "targets", checked[1], 0, float("inf"))
    return check.rule(op, rule)(*checked)
