"""Cross-entropy of outputs that are each a probability of their own: y − t at their logits."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.lowering.precision import widen
from jaxcnn.ops.reductions import check_pair, loss_rule, reduced, sigmoid_error
from jaxcnn.rules import Function


def _binary_slopes(kept):
    logits, targets = kept
    return sigmoid_error(logits, targets)[0], -widen(logits)


@loss_rule(keep=lambda u, t: (u, t), slopes=_binary_slopes)
def sigmoid_binary_cross_entropy_map(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"], reduction: str
) -> Float[Array, "*n"]:
    """E = −Σ t ln y + (1 − t) ln(1 − y), y = sigmoid(u)."""
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
        ValueError: the shapes differ, or a concrete target is outside [0, 1].
    """
    op = "sigmoid_binary_cross_entropy"
    checked = check_pair(op, "logits", logits, targets, reduction)
    check.concrete_range(op, "targets", checked[1], 0, 1)
    return rule(*checked)
