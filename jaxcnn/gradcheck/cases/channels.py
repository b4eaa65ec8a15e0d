"""Maps on the channels alone."""

from functools import partial

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case

_linear = partial(Case, multilinear=True)


CASES: list[Case] = [
    _linear(jc.pad_channels, {"x": (2, 3, 2, 2)}, {"before": 1, "after": 3}),
    _linear(jc.pad_channels, {"x": (1, 3)}, {"after": 2}),
    _linear(jc.crop_channels, {"x": (2, 3, 2, 6)}, {"before": 1, "after": 3}),
    _linear(jc.crop_channels, {"x": (4,)}, {"before": 3}),
    _linear(jc.crop_channels, {"x": (2, 3, 5)}, {"before": 1, "after": 2}),
    _linear(jc.scale_channels, {"x": (2, 3, 2, 4), "scale": (4,), "bias": (4,)}),
    _linear(jc.scale_channels, {"x": (3, 1), "scale": (1,)}),
]

LARGE: list[Case] = [
    _linear(jc.pad_channels, {"x": (64, 16, 16, 32)}, {"after": 32}),
    _linear(jc.crop_channels, {"x": (64, 16, 16, 64)}, {"after": 32}),
    _linear(jc.scale_channels, {"x": (64, 16, 16, 32), "scale": (32,), "bias": (32,)}),
]
