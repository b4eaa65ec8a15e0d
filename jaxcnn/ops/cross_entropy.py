"""Cross-entropy: y − t at the logits of a softmax.

It knows class weights, label smoothing and labels to be left out, as PyTorch means them.
A label stands for its one-hot code t, without a gradient. Smoothing puts (1 − ε) t + ε/k for it.
Where the mean divides by W, the sum of the labels' weights, so does every gradient, and each label
adds −E/W to ∂w.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Integer, Num

from jaxcnn import check
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.lowering.sharding import sharded_like, vary_together
from jaxcnn.ops.activation import log_softmax_map, softmax_map, softmax_slope
from jaxcnn.ops.elementary import expm1, reciprocal
from jaxcnn.ops.gate import gate_map
from jaxcnn.ops.reductions import REDUCTIONS, check_outputs, check_targets, per_example, reduced
from jaxcnn.rules import Function, custom_rule, unary


@dataclass(frozen=True)
class Weighing:
    """How the examples of a cross-entropy count."""

    reduction: str = "mean"
    label_smoothing: float = 0.0
    ignore_index: int | None = None


@partial(custom_rule, nondiff_argnums=(3,))
def softmax_cross_entropy_map(
    logits: Float[Array, "*n k"], targets: Float[Array, "*n k"] | Integer[Array, "*n"],
    class_weights: Float[Array, " k"] | None, weighing: Weighing,
) -> Float[Array, "*n"]:  # fmt: skip
    divisor = _divisor(targets, class_weights, logits, weighing)
    wide = _counting(widen(logits), targets, weighing)
    losses = _losses(wide, targets, class_weights, weighing)
    if divisor is None:
        return reduced(losses, weighing.reduction).astype(logits.dtype)
    return (losses.sum() / divisor).astype(logits.dtype)


def _softmax_cross_entropy_fwd(logits, targets, class_weights, weighing):
    loss = softmax_cross_entropy_map(logits, targets, class_weights, weighing)
    # Maximum, exponentials and their sum are computed once: under jit, XLA merges equal ones.
    # Not in half precision: where the network is sure, what is left of y − t would be lost.
    wide = _counting(widen(logits), targets, weighing)
    if _only_labels(targets, class_weights):
        return loss, (label_error_map(wide, targets, weighing), None, targets, None)
    return loss, (softmax_map(wide, -1), log_softmax_map(wide, -1), targets, class_weights)


def _softmax_cross_entropy_bwd(weighing, residuals, g):
    (y, log_y, targets, class_weights), dtype = residuals, g.dtype
    divisor = _divisor(targets, class_weights, y, weighing)
    g = widen(g) if divisor is None else widen(g) * reciprocal(divisor)
    rows = _per_row(g, targets, y, weighing, divided=divisor is not None)
    if _only_labels(targets, class_weights):  # y is y − s
        return (rows * y).astype(dtype), None, None
    t = _distribution(targets, y, weighing)
    s = _weighted(t, class_weights)
    delta = rows * _slope(y, log_y, s)
    delta_targets = delta_weights = None
    if not _labelled(targets):
        delta_targets = _weighted(-rows * log_y, class_weights)
        delta_targets = (delta_targets * (1 - weighing.label_smoothing)).astype(targets.dtype)
    if class_weights is not None:
        each = -rows * _times_log(t, log_y)
        if divisor is not None:  # the divisor depends on the weights, too
            rows = _per_row(g * _loss(s, log_y, divisor), targets, y, weighing, divided=True)
            each = each - rows * _one_hot(targets, y, weighing)
        delta_weights = each.sum(range(each.ndim - 1)).astype(class_weights.dtype)
    return delta.astype(dtype), delta_targets, delta_weights


def _softmax_cross_entropy_tangent(weighing, residuals, dots):
    """Ė = Σ δ u̇ + Σ ∂t ṫ + Σ ∂w ẇ."""
    (y, log_y, targets, class_weights), (logits_dot, targets_dot, weights_dot) = residuals, dots
    t = _distribution(targets, y, weighing)
    s = _weighted(t, class_weights)
    slope = y if _only_labels(targets, class_weights) else _slope(y, log_y, s)
    if weighing.ignore_index is not None:
        slope = gate_map(slope, _counted(targets, y.shape, weighing))
    moved = (slope * widen(logits_dot)).sum(-1)
    if not _labelled(targets):
        spread = widen(targets_dot) * (1 - weighing.label_smoothing)
        moved = moved - _times_log(_weighted(spread, class_weights), log_y).sum(-1)
    if class_weights is not None:
        moved = moved - _weighted(_times_log(t, log_y), weights_dot).sum(-1)
    divisor = _divisor(targets, class_weights, y, weighing)
    if divisor is None:
        return narrow(reduced(moved, weighing.reduction), logits_dot.dtype)
    total = moved.sum()
    if class_weights is not None:  # (L/W)˙ = (L̇ − E Ẇ) / W
        loss = _loss(s, log_y, divisor)
        total = total - loss * _weighted(_one_hot(targets, y, weighing), weights_dot).sum()
    return narrow(total * reciprocal(divisor), logits_dot.dtype)


softmax_cross_entropy_map.defvjp(_softmax_cross_entropy_fwd, _softmax_cross_entropy_bwd)
softmax_cross_entropy_map.defjvp(_softmax_cross_entropy_tangent, affine=(1,))


def softmax_cross_entropy(
    logits: Float[ArrayLike, "*n k"], targets: Num[ArrayLike, "*n k"] | Integer[ArrayLike, "*n"],
    *, class_weights: Float[ArrayLike, " k"] | None = None, label_smoothing: float = 0.0,
    ignore_index: int | None = None, reduction: str = "mean",
    rule: Function = softmax_cross_entropy_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """E = −Σ w t ln y, y = softmax(u): one loss per example, averaged over the batch by default.

    Backward, with δ = ∂E/∂u and s = w • t: δ = y Σs − s, which is y − t where the targets sum to
    one and there are no weights; ∂t = −w ln y; ∂w = −Σ t ln y.
    Source: Huang, "Output layer"; Gormley, "Softmax Layer"; label smoothing: Szegedy et al. 2016.

    Args:
        targets: labels, one per example, or floats of the shape of the logits, taken as they are.
        class_weights: one per class, or None for ones. With labels the mean divides by the sum of
            the labels' weights, with float targets by the number of examples, as in PyTorch.
        label_smoothing: the part ε in [0, 1] of a target that is spread evenly over the classes.
        ignore_index: the label of examples that do not count: no loss, no gradient, whatever their
            logits, and not in the mean. The mean over no example is NaN, its gradient 0.

    Raises:
        ValueError: ignore_index is given for float targets, or a concrete label is outside
            [0, classes); one that is only traced and outside makes loss and gradient NaN.
    """
    op = "softmax_cross_entropy"
    logits = check_outputs(op, "logits", logits)
    weighing = Weighing(
        check.choice(op, "reduction", reduction, REDUCTIONS),
        check.probability(op, "label_smoothing", label_smoothing),
        None if ignore_index is None else check.integer(op, "ignore_index", ignore_index),
    )
    like = "logits", logits
    weights = check.parameter(op, "class_weights", class_weights, like, logits.shape[-1:])
    targets = _check_classes(op, targets, logits, weighing.ignore_index)
    return check.rule(op, rule)(*vary_together(logits, targets, weights), weighing)


def _check_classes(op: str, targets: ArrayLike, logits: Array, ignore_index: int | None) -> Array:
    if jnp.issubdtype(getattr(targets, "dtype", float), jnp.integer):
        return check.labels(op, "targets", targets, logits.shape, ignore_index)
    targets = check_targets(op, targets, ("logits", logits))
    if ignore_index is None:
        return targets
    raise ValueError(f"{op}: ignore_index must be None for float targets, got {ignore_index}")


def _loss(s: Array, log_y: Array, divisor: Array) -> Array:
    return -_times_log(s, log_y).sum() * reciprocal(divisor)


def _slope(y: Array, log_y: Array, s: Array) -> Array:
    """y Σs − s as y (Σs − s) − (1 − y) s, which loses nothing as y → s."""
    return y * (s.sum(-1, keepdims=True) - s) + expm1(log_y) * s


@unary(
    keep=lambda u, e: softmax_map(u, -1),
    back=lambda moved, y, weighing: softmax_slope(moved, y, -1),
    nondiff_argnums=(2,),
)
def label_error_map(
    logits: Float[Array, "*n k"], labels: Integer[Array, "*n"], weighing: Weighing
) -> Float[Array, "*n k"]:
    """e = y − s, y = softmax(u).  With g = ∂L/∂e:  ∂u_j = y_j (g_j − Σ_i g_i y_i)."""
    _, t, others, rest = _beside_the_label(logits, labels, weighing)
    error = (others - t * others.sum(-1, keepdims=True)) * (1 / (1 + rest))
    return error - (_smoothed(t, weighing) - t) if weighing.label_smoothing else error


def _losses(logits: Array, targets: Array, weights: Array | None, weighing: Weighing) -> Array:
    """−Σ s ln y of every example."""
    if not _only_labels(targets, weights):
        log_y = log_softmax_map(logits, -1)
        s = _weighted(_distribution(targets, log_y, weighing), weights)
        return -_times_log(s, log_y).sum(-1)
    v, t, _, rest = _beside_the_label(logits, targets, weighing)
    losses = jnp.log1p(rest[..., 0]) - _times_log(_smoothed(t, weighing), v).sum(-1)
    left_out = weighing.ignore_index
    return losses if left_out is None else gate_map(losses, targets != left_out)


def _beside_the_label(logits: Array, labels: Array, weighing: Weighing) -> tuple[Array, ...]:
    """v = u − max u, the one-hot t, e^v of other classes, and Σe^v − 1; NaN for a label outside.

    It loses nothing where the label's logit is the largest, as in a network that is sure.
    """
    shifted = logits - logits.max(-1, keepdims=True)
    here, inside = _places(labels, logits)
    if weighing.ignore_index is not None:
        inside = inside | (labels == weighing.ignore_index)[..., None]
    t = here.astype(logits.dtype)
    others = jnp.exp(shifted) * (1 - t)
    rest = others.sum(-1, keepdims=True) + jnp.expm1(_times_log(t, shifted).sum(-1, keepdims=True))
    # The NaN is added to one number per row: in the one-hot code it would take a third more time.
    return shifted, t, others, rest + jnp.where(inside, 0, jnp.nan)


def _only_labels(targets: Array, class_weights: Array | None) -> bool:
    return _labelled(targets) and class_weights is None


def _labelled(targets: Array) -> bool:
    return jnp.issubdtype(targets.dtype, jnp.integer)


def _counted(targets: Array, shape: tuple[int, ...], weighing: Weighing) -> Array:
    """Whether an example counts, for each of its outputs."""
    counted = (targets != weighing.ignore_index).reshape(*targets.shape, 1)
    return jnp.broadcast_to(counted, shape)


def _counting(logits: Array, targets: Array, weighing: Weighing) -> Array:
    """The logits, 0 for examples that are left out, so that no ∞ or NaN comes from there."""
    if weighing.ignore_index is None:
        return logits
    return gate_map(logits, _counted(targets, logits.shape, weighing))


def _places(labels: Array, like: Array) -> tuple[Array, Array]:
    """Whether a class is the label's, for every class; and whether there is such a class."""
    here = check.counting(labels)[..., None]
    classes = jax.lax.broadcasted_iota(here.dtype, like.shape, like.ndim - 1)
    return classes == here, (here >= 0) & (here < like.shape[-1])


def _one_hot(labels: Array, like: Array, weighing: Weighing) -> Array:
    """Labels as numbers per class: NaN for a label outside, 0 for one that is left out."""
    here, inside = _places(labels, like)
    t = jnp.where(inside, here.astype(widen(like).dtype), jnp.nan)
    if weighing.ignore_index is not None:
        t = gate_map(t, _counted(labels, like.shape, weighing))
    return t


def _distribution(targets: Array, like: Array, weighing: Weighing) -> Array:
    """The targets as numbers per class, smoothed."""
    t = _one_hot(targets, like, weighing) if _labelled(targets) else widen(targets)
    t = _smoothed(t, weighing)
    if weighing.label_smoothing and weighing.ignore_index is not None:
        t = gate_map(t, _counted(targets, like.shape, weighing))
    return t


def _smoothed(t: Array, weighing: Weighing) -> Array:
    if not weighing.label_smoothing:
        return t
    return t * (1 - weighing.label_smoothing) + weighing.label_smoothing / t.shape[-1]


def _weighted(t: Array, class_weights: Array | None) -> Array:
    return t if class_weights is None else t * jnp.broadcast_to(widen(class_weights), t.shape)


def _times_log(t: Array, log_y: Array) -> Array:
    """t ln y. 0 · ln 0 = 0: a class that cannot occur and does not occur costs nothing."""
    return t * gate_map(widen(log_y), t != 0)


def _divisor(
    targets: Array, class_weights: Array | None, like: Array, weighing: Weighing
) -> Array | None:
    """What a mean divides by: the labels' weights; None if it is just the number of examples."""
    even = class_weights is None and weighing.ignore_index is None
    if weighing.reduction != "mean" or not _labelled(targets) or even:
        return None
    return _weighted(_one_hot(targets, like, weighing), class_weights).sum()


def _per_row(g: Array, targets: Array, like: Array, weighing: Weighing, *, divided: bool) -> Array:
    """The incoming gradient, one number per example; 0 for one that is left out."""
    rows = per_example(g, like.shape[:-1], "sum" if divided else weighing.reduction)[..., None]
    if weighing.ignore_index is not None:
        counted = _counted(targets, rows.shape, weighing)
        rows = gate_map(sharded_like(rows, counted), counted)
    return rows
