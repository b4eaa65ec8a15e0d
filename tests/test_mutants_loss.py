"""Wrong losses, each caught."""

# pyright: reportOptionalCall=false

from dataclasses import replace

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, changed, frozen

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, distribution, label_array, normal
from jaxcnn.gradcheck.cases.loss import far_targets, positive
from jaxcnn.ops import cross_entropy, divergence, logistic, regression, weight_decay
from jaxcnn.ops.cross_entropy import Weighing

LABELS = Case(jc.softmax_cross_entropy, {"logits": (3, 4)}, fixed={"targets": label_array(4, (3,))})
SOFT = Case(
    jc.softmax_cross_entropy, {"logits": (3, 4), "targets": (3, 4)}, draw={"targets": normal}
)
WEIGHTED = Case(
    jc.softmax_cross_entropy,
    {"logits": (5, 4), "class_weights": (4,)},
    {"label_smoothing": 0.2, "ignore_index": 2},
    {"targets": label_array(4, (5,))},
    {"class_weights": positive},
)
SIGMOID_SQUARED = Case(jc.sigmoid_squared_error, {"logits": (3, 4), "targets": (3, 4)})
BINARY = Case(
    jc.sigmoid_binary_cross_entropy,
    {"logits": (3, 4), "targets": (3, 4)},
    draw={"targets": distribution},
)
KL = Case(
    jc.kl_divergence,
    {"log_predictions": (3, 4), "targets": (3, 4)},
    draw={"targets": distribution},
)
DECAY = Case(jc.weight_decay, {"params": (3, 4)}, {"strength": 0.3})
cross, binary = cross_entropy.softmax_cross_entropy_map, logistic.sigmoid_binary_cross_entropy_map
squared, absolute = regression.squared_error_map, regression.absolute_error_map
huber, smooth, kl = regression.huber_map, regression.smooth_l1_map, divergence.kl_divergence_map
decay = weight_decay.weight_decay_map


def errors(op, **settings):
    shapes = {"predictions": (3, 4), "targets": (3, 4)}
    return Case(op, shapes, settings, draw={"targets": far_targets}, kinked=True)


def weighing(**settings):
    """The right backward pass of cross-entropy for another weighing."""
    return lambda w, r, g: cross.bwd(replace(w, **settings), r, g)


def without_w(w, r, g):
    """The mean's divisor W taken for a constant in ∂w."""
    right = cross.bwd(w, r, g)
    total = cross.bwd(replace(w, reduction="sum"), r, g)
    return (*right[:2], total[2] * (right[0].sum() / total[0].sum()))


SQUARED, ABSOLUTE = errors(jc.squared_error), errors(jc.absolute_error)
HUBER, SMOOTH = errors(jc.huber, delta=1.3), errors(jc.smooth_l1, beta=0.7)

MUTANTS = [
    Mutant("cross-entropy: t − y", LABELS, changed(cross, lambda u, t, w: (-u, t, w))),
    Mutant("cross-entropy: not averaged", LABELS, lambda a, r, g: cross.bwd(Weighing("sum"), r, g)),
    Mutant("cross-entropy: incoming gradient ignored", LABELS, lambda a, r, g: cross.bwd(a, r, jnp.ones_like(g))),
    Mutant("cross-entropy: Σt taken for 1", SOFT, lambda a, r, g: (g / 3 * (r[0] - r[2]), *cross.bwd(a, r, g)[1:])),
    Mutant("cross-entropy: ∂t forgotten", SOFT, changed(cross, lambda u, t, w: (u, 0 * t, w))),
    Mutant("cross-entropy: times y(1 − y)", LABELS, lambda a, r, g: (cross.bwd(a, r, g)[0] * r[0], None, None)),
    Mutant("sigmoid squared error: f′ forgotten", SIGMOID_SQUARED, lambda a, r, g: (g / 3 * (r[0] - r[1]), regression.sigmoid_squared_error_map.bwd(a, r, g)[1])),
    Mutant("sigmoid squared error: factor 2", SIGMOID_SQUARED, changed(regression.sigmoid_squared_error_map, lambda u, t: (2 * u, t))),
    Mutant("sigmoid squared error: ∂t has the sign of ∂u", SIGMOID_SQUARED, changed(regression.sigmoid_squared_error_map, lambda u, t: (u, -t))),
    Mutant("binary cross-entropy: times f′", BINARY, lambda a, r, g: (binary.bwd(a, r, g)[0] * 0.25, -g / 3 * r[0])),
    Mutant("binary cross-entropy: Gormley's sign", BINARY, changed(binary, lambda u, t: (-u, t))),
    Mutant("binary cross-entropy: averaged over the outputs too", BINARY, changed(binary, lambda u, t: (u / 4, t / 4))),
    Mutant("cross-entropy: weights forgotten", WEIGHTED, lambda w, r, g: (*cross.bwd(w, (*r[:3], None), g)[:2], cross.bwd(w, r, g)[2])),
    Mutant("cross-entropy: not smoothed", WEIGHTED, weighing(label_smoothing=0.0)),
    Mutant("cross-entropy: nothing ignored", WEIGHTED, weighing(ignore_index=None)),
    Mutant("cross-entropy: divided by the number of examples", WEIGHTED, lambda w, r, g: cross.bwd(replace(w, reduction="sum"), r, g / 5)),
    Mutant("cross-entropy: ∂w forgotten", WEIGHTED, changed(cross, lambda u, t, w: (u, t, 0 * w))),
    Mutant("cross-entropy: W a constant in ∂w", WEIGHTED, without_w),
    Mutant("cross-entropy: order 2 forgets its residuals", WEIGHTED, frozen(cross, "residuals"), 2),
    Mutant("squared error: factor 2", SQUARED, changed(squared, lambda y, t: (2 * y, 2 * t))),
    Mutant("squared error: ∂t has the sign of ∂y", SQUARED, changed(squared, lambda y, t: (y, -t))),
    Mutant("squared error: order 2 forgets d", SQUARED, frozen(squared, "residuals"), 2),
    Mutant("absolute error: d for its sign", ABSOLUTE, lambda a, above, g: squared.bwd(a, jnp.where(above, 0.5, -0.5), g)),
    Mutant("absolute error: not averaged", ABSOLUTE, lambda a, above, g: absolute.bwd("sum", above, g)),
    Mutant("absolute error: order 2 forgets δ", ABSOLUTE, frozen(absolute, "delta"), 2),
    Mutant("huber: not clipped", HUBER, lambda d, a, r, g: squared.bwd(a, r, g)),
    Mutant("huber: clipped at 1", HUBER, lambda d, a, r, g: huber.bwd(1.0, a, r, g)),
    Mutant("huber: order 2 forgets d", HUBER, frozen(huber, "residuals"), 2),
    Mutant("smooth L1: not divided by β", SMOOTH, changed(smooth, lambda y, t: (0.7 * y, 0.7 * t))),
    Mutant("smooth L1: Huber's for Δ = 1", SMOOTH, lambda b, a, r, g: huber.bwd(1.0, a, r, g)),
    Mutant("smooth L1: order 2 forgets d", SMOOTH, frozen(smooth, "residuals"), 2),
    Mutant("KL: y − t", KL, lambda a, r, g: (g / 3 * (jnp.exp(r[0]) - r[1]), kl.bwd(a, r, g)[1])),
    Mutant("KL: ln t − ln y without 1", KL, lambda a, r, g: (kl.bwd(a, r, g)[0], kl.bwd(a, r, g)[1] - g / 3)),
    Mutant("KL: averaged over the classes too", KL, changed(kl, lambda y, t: (y / 4, t / 4))),
    Mutant("KL: order 2 forgets t", KL, frozen(kl, "residuals"), 2),
    Mutant("weight decay: factor 2", DECAY, changed(decay, lambda w: ([2 * leaf for leaf in w],))),
    Mutant("weight decay: λ forgotten", DECAY, lambda strength, w, g: decay.bwd(1.0, w, g)),
    Mutant("weight decay: order 2 forgets w", DECAY, frozen(decay, "residuals"), 2),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
