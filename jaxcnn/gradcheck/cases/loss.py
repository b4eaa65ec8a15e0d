"""Losses."""

import numpy as np

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, apart, distribution, label_array, normal


def positive(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in (0.5, 2)."""
    return generator.uniform(0.5, 2, shape)


def far_targets(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers whose distance from those that `apart` drew before is in turn small and large."""
    return apart(generator, shape) / 64 + np.resize([0.0, 3.0, -4.0], shape)


REDUCTIONS = ("mean", "sum", "none")
WEIGHTS = {"logits": (4, 5), "class_weights": (5,)}
LABELS = {"targets": label_array(5, (4,))}
SOFT = {"logits": (3, 4), "targets": (3, 4), "class_weights": (4,)}
ERRORS = {"predictions": (2, 3, 3), "targets": (2, 3, 3)}

CASES: list[Case] = [
    *(
        Case(
            jc.softmax_cross_entropy,
            {"logits": (3, 5)},
            {"reduction": reduction},
            {"targets": label_array(5, (3,))},
        )
        for reduction in REDUCTIONS
    ),
    Case(
        jc.softmax_cross_entropy,
        {"logits": (2, 3, 4)},
        {},
        {"targets": label_array(4, (2, 3))},
    ),
    Case(
        jc.softmax_cross_entropy,
        {"logits": (3, 4), "targets": (3, 4)},
        draw={"targets": distribution},
    ),
    Case(jc.softmax_cross_entropy, {"logits": (3, 4), "targets": (3, 4)}, {"reduction": "none"}),
    *(
        Case(
            jc.softmax_cross_entropy,
            WEIGHTS,
            {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignored},
            LABELS,
            {"class_weights": positive},
        )
        for reduction in REDUCTIONS
        for smoothing, ignored in ((0.0, None), (0.3, 4))
    ),
    *(
        Case(
            jc.softmax_cross_entropy,
            {"logits": (2, 3, 5)},
            {"label_smoothing": smoothing, "ignore_index": ignored},
            {"targets": label_array(5, (2, 3))},
        )
        for smoothing, ignored in ((0.2, None), (0.0, 2))
    ),
    *(
        Case(
            jc.softmax_cross_entropy,
            SOFT,
            {"reduction": reduction, "label_smoothing": 0.25},
            draw={"class_weights": positive},
        )
        for reduction in ("mean", "none")
    ),
    *(
        Case(
            loss,
            {"logits": (3, 4), "targets": (3, 4)},
            {"reduction": reduction},
            draw={"targets": draw},
        )
        for loss, draw in (
            (jc.sigmoid_squared_error, normal),
            (jc.sigmoid_binary_cross_entropy, distribution),
        )
        for reduction in REDUCTIONS
    ),
    *(
        Case(
            op,
            ERRORS,
            {"reduction": reduction, **settings},
            draw={"targets": far_targets},
            kinked=True,
        )
        for op, settings in (
            (jc.squared_error, {}),
            (jc.absolute_error, {}),
            (jc.huber, {"delta": 1.3}),
            (jc.smooth_l1, {"beta": 0.7}),
        )
        for reduction in REDUCTIONS
    ),
    *(
        Case(
            jc.kl_divergence,
            {"log_predictions": (3, 4), "targets": (3, 4)},
            {"reduction": reduction},
            draw={"targets": distribution},
        )
        for reduction in REDUCTIONS
    ),
    Case(jc.weight_decay, {"params": (3, 4)}, {"strength": 0.3}),
    Case(jc.weight_decay, {"params": ()}, {"strength": 5e-4}),
]

LARGE: list[Case] = [
    Case(
        jc.softmax_cross_entropy,
        {"logits": (1024, 100)},
        fixed={"targets": label_array(100, (1024,))},
    ),
    *(
        Case(op, {"logits": (1024, 100), "targets": (1024, 100)}, draw={"targets": distribution})
        for op in (jc.sigmoid_squared_error, jc.sigmoid_binary_cross_entropy)
    ),
    *(
        Case(op, {"predictions": (1024, 100), "targets": (1024, 100)})
        for op in (jc.squared_error, jc.absolute_error, jc.huber, jc.smooth_l1)
    ),
    Case(
        jc.kl_divergence,
        {"log_predictions": (1024, 100), "targets": (1024, 100)},
        draw={"targets": distribution},
    ),
    Case(jc.weight_decay, {"params": (1024, 1024)}, {"strength": 5e-4}),
]
