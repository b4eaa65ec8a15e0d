"""Activations."""

import jaxcnn as jc
from experiments.case import Case

CASES: list[Case] = [
    Case(jc.relu, {"x": (3, 4, 2)}, kinked=True),
    Case(jc.sigmoid, {"x": (3, 4)}),
    Case(jc.tanh, {"x": (3, 4)}),
    Case(jc.softmax, {"x": (3, 5)}),
    Case(jc.softmax, {"x": (2, 4, 3)}, {"axis": 1}),
    Case(jc.log_softmax, {"x": (3, 5)}),
    Case(jc.log_softmax, {"x": (4, 2, 3)}, {"axis": 0}),
]

LARGE: list[Case] = [
    *(Case(op, {"x": (64, 16, 16, 64)}) for op in (jc.relu, jc.sigmoid, jc.tanh)),
    *(Case(op, {"x": (1024, 100)}) for op in (jc.softmax, jc.log_softmax)),
]
