"""Wrong losses."""

# pyright: reportOptionalCall=false

from dataclasses import replace

import jax.numpy as jnp
from mutation import forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, distribution, label_array, normal
from jaxcnn.gradcheck.cases.loss import far_targets, positive
from jaxcnn.ops.activation import sigmoid_slope
from jaxcnn.ops.cross_entropy import softmax_cross_entropy_map as cross_entropy_map

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


def errors(op, **settings):
    shapes = {"predictions": (3, 4), "targets": (3, 4)}
    return Case(op, shapes, settings, draw={"targets": far_targets}, kinked=True)


def weighing(**settings):
    """Another weighing of the examples."""
    return lambda weighing: replace(weighing, **settings)


def without_weights(weighing, y, log_y, targets, delta):
    return cross_entropy_map.bwd(weighing, (y, log_y, targets, None), delta)[0]


def with_a_constant_divisor(weighing, y, log_y, targets, class_weights, delta, d_logits):
    """The mean's divisor W taken for a constant in ∂w."""
    residuals = y, log_y, targets, class_weights
    logits, _, weights = cross_entropy_map.bwd(replace(weighing, reduction="sum"), residuals, delta)
    return weights * (d_logits.sum() / logits.sum())


def negative(right):
    return -right


def twice(right):
    return 2 * right


def quarter(right):
    return right / 4


SQUARED, ABSOLUTE = errors(jc.squared_error), errors(jc.absolute_error)
HUBER, SMOOTH = errors(jc.huber, delta=1.3), errors(jc.smooth_l1, beta=0.7)

MUTANTS = [
    wrong("cross-entropy: t − y", LABELS, logits=negative),
    given("cross-entropy: not averaged", LABELS, weighing=weighing(reduction="sum")),
    given("cross-entropy: incoming gradient ignored", LABELS, delta=lambda right: jnp.ones_like(right)),
    wrong("cross-entropy: Σt taken for 1", SOFT, logits=lambda y, targets, delta: delta / 3 * (y - targets)),
    wrong("cross-entropy: ∂t forgotten", SOFT, targets=lambda right: 0 * right),
    wrong("cross-entropy: times y(1 − y)", LABELS, logits=lambda right, y: right * y),
    wrong("sigmoid squared error: f′ forgotten", SIGMOID_SQUARED,
        logits=lambda logits, targets, delta: delta / 3 * (jc.sigmoid(logits) - targets)),
    wrong("sigmoid squared error: factor 2", SIGMOID_SQUARED, logits=twice),
    wrong("sigmoid squared error: ∂t has the sign of ∂u", SIGMOID_SQUARED, targets=negative),
    wrong("binary cross-entropy: times f′", BINARY, logits=lambda right, logits: right * sigmoid_slope(logits)),
    wrong("binary cross-entropy: Gormley's sign", BINARY, logits=negative),
    wrong("binary cross-entropy: averaged over the outputs too", BINARY, logits=quarter, targets=quarter),
    wrong("cross-entropy: weights forgotten", WEIGHTED, logits=without_weights),
    given("cross-entropy: not smoothed", WEIGHTED, weighing=weighing(label_smoothing=0.0)),
    given("cross-entropy: nothing ignored", WEIGHTED, weighing=weighing(ignore_index=None)),
    given("cross-entropy: divided by the number of examples", WEIGHTED,
        weighing=weighing(reduction="sum"), delta=lambda right: right / 5),
    wrong("cross-entropy: ∂w forgotten", WEIGHTED, class_weights=lambda right: 0 * right),
    wrong("cross-entropy: W a constant in ∂w", WEIGHTED, class_weights=with_a_constant_divisor),
    forgets("cross-entropy: order 2 forgets its residuals", WEIGHTED, "residuals"),
    wrong("squared error: factor 2", SQUARED, predictions=twice, targets=twice),
    wrong("squared error: ∂t has the sign of ∂y", SQUARED, targets=negative),
    forgets("squared error: order 2 forgets d", SQUARED, "error"),
    wrong("absolute error: half the sign", ABSOLUTE, predictions=lambda right: right / 2,
        targets=lambda right: right / 2),
    given("absolute error: not averaged", ABSOLUTE, reduction=lambda: "sum"),
    forgets("absolute error: order 2 forgets δ", ABSOLUTE, "delta"),
    given("huber: not clipped", HUBER, delta=lambda: float("inf")),
    given("huber: clipped at 1", HUBER, delta=lambda: 1.0),
    forgets("huber: order 2 forgets d", HUBER, "error"),
    wrong("smooth L1: not divided by β", SMOOTH, predictions=lambda right, beta: beta * right,
        targets=lambda right, beta: beta * right),
    given("smooth L1: Huber's for Δ = 1", SMOOTH, beta=lambda: 1.0),
    forgets("smooth L1: order 2 forgets d", SMOOTH, "error"),
    wrong("KL: y − t", KL,
        log_predictions=lambda log_predictions, targets, delta: delta / 3 * (jnp.exp(log_predictions) - targets)),
    wrong("KL: ln t − ln y without 1", KL, targets=lambda right, delta: right - delta / 3),
    wrong("KL: averaged over the classes too", KL, log_predictions=quarter, targets=quarter),
    forgets("KL: order 2 forgets t", KL, "targets"),
    wrong("weight decay: factor 2", DECAY, params=lambda right: [2 * leaf for leaf in right]),
    given("weight decay: λ forgotten", DECAY, strength=lambda: 1.0),
    forgets("weight decay: order 2 forgets w", DECAY, "params"),
]  # fmt: skip
