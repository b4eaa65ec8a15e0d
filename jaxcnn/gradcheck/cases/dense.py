"""Dense layers and their two gradients."""

from functools import partial

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case

_linear = partial(Case, multilinear=True)


CASES: list[Case] = [
    _linear(jc.dense, {"x": (3, 5), "weight": (5, 4), "bias": (4,)}),
    _linear(jc.dense, {"x": (2, 3, 5), "weight": (5, 2)}),
    _linear(jc.dense, {"x": (1, 1), "weight": (1, 1), "bias": (1,)}),
    _linear(jc.dense, {"x": (3, 4), "weight": (4, 4), "bias": (4,)}),  # square
    _linear(jc.dense_input_grad, {"delta": (3, 4), "weight": (5, 4)}),
    _linear(jc.dense_weight_grad, {"x": (2, 3, 5), "delta": (2, 3, 4)}),
]

LARGE: list[Case] = [
    _linear(jc.dense, {"x": (256, 512), "weight": (512, 256), "bias": (256,)}),
    _linear(jc.dense_input_grad, {"delta": (256, 256), "weight": (512, 256)}),
    _linear(jc.dense_weight_grad, {"x": (256, 512), "delta": (256, 256)}),
]
