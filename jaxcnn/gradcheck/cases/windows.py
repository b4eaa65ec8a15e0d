"""What else one does with windows: their norms, whole maps, adaptive windows, patches."""

from functools import partial

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, levels, switch_array

_linear = partial(Case, multilinear=True)
_kinked = partial(Case, kinked=True)

CASES: list[Case] = [
    _kinked(jc.lp_pool, {"x": (1, 5, 6, 2)}, {"window": (2, 3), "stride": (2, 2), "p": 3}),
    _kinked(jc.lp_pool, {"x": (2, 4, 4, 1)}, {"window": 2, "p": 1.5}),  # tiles
    _kinked(jc.lp_pool, {"x": (1, 5, 4, 1)}, {"window": 2, "padding": ((1, 0), 0), "p": 1}),
    _kinked(jc.lp_pool, {"x": (2, 7, 2)}, {"window": 2, "stride": 2, "dilation": 2, "p": 2}),
    _kinked(jc.lp_pool, {"x": (1, 3, 4, 3, 1)}, {"window": 2, "p": 2.5, "ceil_mode": True}),
    _kinked(jc.global_max_pool, {"x": (2, 5, 7, 2)}),
    _kinked(jc.global_max_pool, {"x": (1, 9, 3)}, {"keepdims": True}),
    _kinked(jc.global_max_pool, {"x": (2, 2, 3, 4, 1)}),
    _linear(jc.global_avg_pool, {"x": (2, 5, 7, 2)}),
    _linear(jc.global_avg_pool, {"x": (1, 9, 3)}, {"keepdims": True}),
    _linear(jc.global_avg_pool, {"x": (2, 2, 3, 4, 1)}),
    _linear(jc.adaptive_avg_pool, {"x": (2, 7, 8, 2)}, {"output_size": (3, 5)}),  # overlap
    _linear(jc.adaptive_avg_pool, {"x": (1, 6, 5, 1)}, {"output_size": (2, 7)}),  # tile; repeat
    _linear(jc.adaptive_avg_pool, {"x": (2, 11, 3)}, {"output_size": 4}),
    _linear(jc.adaptive_avg_pool, {"x": (1, 3, 5, 4, 1)}, {"output_size": (2, 1, 3)}),
    _kinked(jc.adaptive_max_pool, {"x": (2, 7, 8, 2)}, {"output_size": (3, 5)}),
    _kinked(jc.adaptive_max_pool, {"x": (1, 6, 5, 1)}, {"output_size": (2, 7)}),
    _kinked(jc.adaptive_max_pool, {"x": (2, 11, 3)}, {"output_size": 4}),
    _kinked(jc.adaptive_max_pool, {"x": (1, 3, 5, 4, 1)}, {"output_size": (2, 1, 3)}),
    _kinked(jc.adaptive_max_pool, {"x": (2, 5, 1, 2)}, {"output_size": (3, 2)}),  # a thin map
    _kinked(jc.adaptive_max_pool, {"x": (1, 7, 5, 2)}, {"output_size": (3, 4)}),
    *(
        Case(op, {"x": (2, 3, 4, 2)}, settings, draw={"x": levels}, on_kinks=True)
        for op, settings in ((jc.global_max_pool, {}), (jc.adaptive_max_pool, {"output_size": 2}))
    ),
    _linear(
        jc.max_unpool,
        {"x": (2, 3, 2, 2)},
        {"window": 2},
        {"switches": switch_array(4, (2, 3, 2, 2))},
    ),
    _linear(
        jc.max_unpool,
        {"x": (1, 4, 3)},
        {"window": 3, "stride": 2, "padding": 1, "input_size": (8,)},
        {"switches": switch_array(3, (1, 4, 3))},
    ),
    _linear(jc.patches, {"x": (2, 5, 6, 2)}, {"window": (2, 3)}),
    _linear(jc.patches, {"x": (1, 6, 4, 3)}, {"window": 2, "stride": 2}),  # tiles
    _linear(
        jc.patches,
        {"x": (1, 7, 5, 2)},
        {"window": (2, 3), "stride": (3, 2), "padding": ((1, 0), (2, -1)), "dilation": (2, 1)},
    ),
    _linear(jc.patches, {"x": (2, 4, 3)}, {"window": 3, "padding": "FULL"}),
    _linear(jc.patches, {"x": (1, 3, 4, 3, 1)}, {"window": 2, "stride": (1, 2, 1)}),
    _linear(jc.fold, {"delta": (2, 4, 4, 12)}, {"window": (2, 3), "input_size": (5, 6)}),
    _linear(
        jc.fold,
        {"delta": (1, 2, 3, 4)},
        {"window": 2, "stride": 2, "input_size": (5, 6)},
    ),
    _linear(
        jc.fold,
        {"delta": (2, 4, 6)},
        {"window": 3, "stride": 2, "dilation": 2, "padding": ((3, 0),), "input_size": (8,)},
    ),
]

LARGE: list[Case] = [
    _kinked(jc.lp_pool, {"x": (64, 16, 16, 64)}, {"window": 2, "p": 2}),
    _kinked(jc.global_max_pool, {"x": (64, 16, 16, 64)}),
    _linear(jc.global_avg_pool, {"x": (64, 16, 16, 64)}),
    _linear(jc.adaptive_avg_pool, {"x": (64, 16, 16, 64)}, {"output_size": 7}),
    _kinked(jc.adaptive_max_pool, {"x": (64, 16, 16, 64)}, {"output_size": 7}),
    _linear(
        jc.max_unpool,
        {"x": (64, 8, 8, 64)},
        {"window": 2},
        {"switches": switch_array(4, (64, 8, 8, 64))},
    ),
    _linear(jc.patches, {"x": (64, 16, 16, 16)}, {"window": 3}),
    _linear(jc.fold, {"delta": (64, 14, 14, 144)}, {"window": 3, "input_size": (16, 16)}),
]
