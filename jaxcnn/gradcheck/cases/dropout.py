"""Dropout, of elements, of maps and of squares."""

from functools import partial

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, random_key

_linear = partial(Case, multilinear=True)

KEY = {"key": random_key}

CASES: list[Case] = [
    _linear(jc.dropout, {"x": (4, 5, 2)}, {"rate": 0.4}, KEY),
    _linear(jc.spatial_dropout, {"x": (2, 3, 2, 5)}, {"rate": 0.4}, KEY),
    _linear(jc.spatial_dropout, {"x": (1, 4, 6)}, {"rate": 0.5}, KEY),
    _linear(jc.drop_block, {"x": (1, 7, 5, 2)}, {"rate": 0.4, "block": (3, 2)}, KEY),
    _linear(jc.drop_block, {"x": (2, 9, 1)}, {"rate": 0.3, "block": 4}, KEY),
    _linear(jc.drop_block, {"x": (1, 2, 3, 3, 2)}, {"rate": 0.3, "block": (1, 3, 2)}, KEY),
]

LARGE: list[Case] = [
    _linear(jc.dropout, {"x": (256, 4096)}, {"rate": 0.5}, KEY),
    _linear(jc.spatial_dropout, {"x": (64, 16, 16, 64)}, {"rate": 0.2}, KEY),
    _linear(jc.drop_block, {"x": (32, 16, 16, 64)}, {"rate": 0.1, "block": 5}, KEY),
]
