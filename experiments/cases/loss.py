"""Losses."""

import jaxcnn as jc
from experiments.case import Case, distribution, label_array, normal

CASES: list[Case] = [
    *(
        Case(
            jc.softmax_cross_entropy,
            {"logits": (3, 5)},
            {"reduction": reduction},
            {"targets": label_array(5, (3,))},
        )
        for reduction in ("mean", "sum", "none")
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
            loss,
            {"logits": (3, 4), "targets": (3, 4)},
            {"reduction": reduction},
            draw={"targets": draw},
        )
        for loss, draw in (
            (jc.sigmoid_squared_error, normal),
            (jc.sigmoid_binary_cross_entropy, distribution),
        )
        for reduction in ("mean", "sum", "none")
    ),
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
]
