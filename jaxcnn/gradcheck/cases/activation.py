"""Activations."""

import numpy as np

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, apart, levels, whole


def stretched(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in (−7.4, 7.4), no two alike, and of 24 none near 0, ±1, ±3 or 6."""
    return 3.7 * apart(generator, shape)


SMOOTH = (jc.softplus, jc.squareplus, jc.softsign, jc.erf, jc.silu, jc.mish)
PIECES = (jc.relu6, jc.hard_sigmoid, jc.hard_tanh, jc.hard_swish, jc.selu)
STEPS = (jc.thresholded_relu, jc.hard_shrink, jc.soft_shrink)

CASES: list[Case] = [
    Case(jc.relu, {"x": (3, 4, 2)}, kinked=True),
    Case(jc.sigmoid, {"x": (3, 4)}),
    Case(jc.tanh, {"x": (3, 4)}),
    Case(jc.softmax, {"x": (3, 5)}),
    Case(jc.softmax, {"x": (2, 4, 3)}, {"axis": 1}),
    Case(jc.log_softmax, {"x": (3, 5)}),
    Case(jc.log_softmax, {"x": (4, 2, 3)}, {"axis": 0}),
    *(Case(op, {"x": (3, 4, 2)}, draw={"x": stretched}) for op in PIECES),
    *(Case(jc.leaky_relu, {"x": (3, 4)}, {"slope": s}, kinked=True) for s in (0.01, -0.5)),
    *(Case(jc.prelu, {"x": (2, 3, 4), "slope": s}, kinked=True) for s in ((4,), (), (1, 3, 1))),
    *(
        Case(op, {"x": (3, 4)}, {"alpha": alpha}, kinked=True)
        for op in (jc.elu, jc.celu)
        for alpha in (1.0, 0.3)
    ),
    *(Case(op, {"x": (3, 4, 2)}, draw={"x": stretched}) for op in STEPS),
    Case(jc.thresholded_relu, {"x": (3, 4)}, {"alpha": -0.9}, draw={"x": stretched}),
    Case(jc.soft_shrink, {"x": (3, 4)}, {"threshold": 1.5, "bias": -0.25}, draw={"x": stretched}),
    *(Case(op, {"x": (3, 4, 2)}, draw={"x": stretched}) for op in SMOOTH),
    *(
        Case(jc.gelu, {"x": (3, 4, 2)}, {"approximate": approximate}, draw={"x": stretched})
        for approximate in (True, False)
    ),
    Case(jc.squareplus, {"x": (3, 4)}, {"b": 0.25}),
    Case(jc.maxout, {"x": (3, 6)}, {"pieces": 2}, kinked=True),
    Case(jc.maxout, {"x": (1, 2, 3, 5)}, {"pieces": 5}, kinked=True),
    Case(jc.maxout, {"x": (2, 3)}, {"pieces": 1}, kinked=True),
    *(
        Case(op, {"x": (2, 5)}, settings, draw={"x": whole}, on_kinks=True)
        for op, settings in (
            (jc.relu, {}),
            (jc.relu6, {}),
            (jc.leaky_relu, {"slope": 0.2}),
            (jc.elu, {"alpha": 0.3}),
            (jc.celu, {"alpha": 0.3}),
            (jc.selu, {}),
            (jc.thresholded_relu, {"alpha": 2.0}),
            (jc.hard_shrink, {"threshold": 1.0}),
            (jc.soft_shrink, {"threshold": 2.0, "bias": 1.0}),
            (jc.softsign, {}),
            (jc.hard_sigmoid, {}),
            (jc.hard_tanh, {}),
            (jc.hard_swish, {}),
        )
    ),
    Case(jc.prelu, {"x": (2, 5), "slope": (5,)}, draw={"x": whole}, on_kinks=True),
    Case(jc.maxout, {"x": (3, 6)}, {"pieces": 3}, draw={"x": levels}, on_kinks=True),
]

ELEMENTWISE = tuple(
    op
    for op in dict.fromkeys(case.op for case in CASES)
    if op not in (jc.prelu, jc.maxout, jc.softmax, jc.log_softmax)
)

LARGE: list[Case] = [
    *(Case(op, {"x": (64, 16, 16, 64)}) for op in ELEMENTWISE),
    Case(jc.prelu, {"x": (64, 16, 16, 64), "slope": (64,)}),
    *(Case(op, {"x": (1024, 100)}) for op in (jc.softmax, jc.log_softmax)),
    Case(jc.maxout, {"x": (64, 16, 16, 64)}, {"pieces": 4}),
]
