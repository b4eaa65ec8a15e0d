"""Dropout."""

from functools import partial

import jaxcnn as jc
from experiments.case import Case, random_key

_linear = partial(Case, multilinear=True)


CASES: list[Case] = [
    _linear(jc.dropout, {"x": (4, 5, 2)}, {"rate": 0.4}, {"key": random_key}),
]

LARGE: list[Case] = [
    _linear(jc.dropout, {"x": (256, 4096)}, {"rate": 0.5}, {"key": random_key}),
]
