"""Poolings and their adjoints."""

from functools import partial

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, levels, switch_array

_linear = partial(Case, multilinear=True)


def _pools(*ops) -> list[Case]:
    """Every pooling at the same windows."""
    geometries = [
        ((2, 6, 6, 3), {"window": 2}),  # tiles
        ((1, 7, 5, 2), {"window": 2}),  # tiles, with a remainder
        ((2, 7, 8, 2), {"window": 3, "stride": 2}),  # overlaps, remainder along w
        ((1, 5, 6, 2), {"window": (3, 2), "stride": 1, "padding": "SAME"}),
        ((1, 8, 7, 1), {"window": (2, 3), "stride": (3, 2), "padding": ((1, 0), (0, 2))}),  # gaps
        ((2, 5, 5, 1), {"window": 5}),  # the whole map
        ((2, 9, 3), {"window": 3, "stride": 2, "padding": 1}),
        ((1, 4, 3, 5, 2), {"window": 2, "stride": (2, 1, 2), "padding": ((0, 1), (0, 0), (1, 0))}),
        ((1, 4, 4, 1), {"window": 3, "stride": 2, "padding": "FULL"}),
        (
            (1, 8, 7, 2),
            {"window": (2, 3), "stride": 2, "padding": ((1, 2), (2, 0)), "dilation": (3, 2)},
        ),
        ((2, 5, 8, 1), {"window": 2, "stride": 3, "padding": (0, 1), "ceil_mode": True}),
        ((2, 7, 2), {"window": 3, "dilation": 2, "stride": 3, "ceil_mode": True}),
    ]
    return [
        Case(
            op,
            {"x": shape},
            settings,
            output=0 if op is jc.max_pool_with_switches else None,
            kinked=op in (jc.max_pool, jc.max_pool_with_switches),
            multilinear=op in (jc.avg_pool, jc.sum_pool),
        )
        for op in ops
        for shape, settings in geometries
    ]


CASES: list[Case] = [
    *_pools(jc.max_pool, jc.max_pool_with_switches, jc.avg_pool, jc.sum_pool),
    _linear(
        jc.avg_pool,
        {"x": (2, 5, 6, 2)},
        {"window": 3, "stride": 2, "padding": ((1, 0), (0, 2)), "count_include_pad": False},
    ),
    _linear(
        jc.gather_at_switches,
        {"x": (2, 6, 7, 2)},
        {"window": (2, 3), "stride": 2},
        {"switches": switch_array(6, (2, 3, 3, 2))},
    ),
    _linear(
        jc.scatter_at_switches,
        {"delta": (2, 3, 3, 2)},
        {"window": (2, 3), "stride": 2, "input_size": (6, 7)},
        {"switches": switch_array(6, (2, 3, 3, 2))},
    ),
    _linear(
        jc.gather_at_switches,
        {"x": (1, 8, 7, 2)},
        {"window": 2, "stride": 3, "dilation": (3, 2), "padding": 1, "ceil_mode": True},
        {"switches": switch_array(4, (1, 3, 3, 2))},
    ),
    _linear(
        jc.scatter_at_switches,
        {"delta": (1, 3, 3, 2)},
        {
            "window": 2,
            "stride": 3,
            "dilation": (3, 2),
            "padding": 1,
            "ceil_mode": True,
            "input_size": (8, 7),
        },
        {"switches": switch_array(4, (1, 3, 3, 2))},
    ),
    _linear(
        jc.scatter_at_switches,
        {"delta": (1, 2, 3)},
        {"window": 3, "input_size": (8,)},
        {"switches": switch_array(3, (1, 2, 3))},
    ),
    _linear(
        jc.sum_pool_input_grad,
        {"delta": (2, 3, 3, 2)},
        {"window": 3, "stride": 2, "input_size": (7, 8)},
    ),
    _linear(
        jc.sum_pool_input_grad,
        {"delta": (2, 3, 2)},
        {"window": 3, "stride": 3, "dilation": 2, "ceil_mode": True, "input_size": (10,)},
    ),
    _linear(jc.sum_pool_input_grad, {"delta": (1, 2, 2, 1)}, {"window": 2, "input_size": (5, 4)}),
    _linear(jc.upsample, {"x": (2, 3, 2, 2)}, {"size": (2, 3)}),
    _linear(jc.upsample, {"x": (1, 2, 3, 2, 1)}, {"size": 2}),
    Case(jc.max_pool, {"x": (2, 6, 6, 2)}, {"window": 2}, draw={"x": levels}, on_kinks=True),
    # With so many taps that the gradient goes back axis by axis.
    Case(
        jc.max_pool,
        {"x": (1, 7, 6, 1)},
        {"window": (6, 5), "stride": (2, 1), "padding": ((1, 2), (0, 3))},
        kinked=True,
    ),
]

LARGE: list[Case] = [
    Case(jc.max_pool, {"x": (64, 16, 16, 64)}, {"window": 2}, kinked=True),
    Case(jc.max_pool_with_switches, {"x": (64, 16, 16, 64)}, {"window": 2}, output=0, kinked=True),
    _linear(
        jc.gather_at_switches,
        {"x": (64, 16, 16, 64)},
        {"window": 2},
        {"switches": switch_array(4, (64, 8, 8, 64))},
    ),
    _linear(
        jc.scatter_at_switches,
        {"delta": (64, 8, 8, 64)},
        {"window": 2, "input_size": (16, 16)},
        {"switches": switch_array(4, (64, 8, 8, 64))},
    ),
    _linear(jc.avg_pool, {"x": (64, 16, 16, 64)}, {"window": 2}),
    _linear(jc.sum_pool, {"x": (64, 16, 16, 64)}, {"window": 2}),
    _linear(
        jc.sum_pool_input_grad,
        {"delta": (64, 8, 8, 64)},
        {"window": 2, "input_size": (16, 16)},
    ),
    _linear(jc.upsample, {"x": (64, 8, 8, 64)}, {"size": 2}),
]
