"""The one table of cases: every public operation at arguments that hurt.

Odd sizes, windows that are not square, strides that leave a remainder, paddings that differ from
side to side, a batch of one. Tests and `experiments.compare_grad` run through the same rows.
"""

from collections.abc import Callable
from typing import Any

import jaxcnn as jc
from experiments.case import (
    Case,
    distribution,
    label_array,
    normal,
    random_key,
    switch_array,
)


def _conv(x, kernel, bias=True, **settings) -> Case:
    shapes = {"x": x, "kernel": kernel}
    if bias:
        shapes["bias"] = kernel[-1:]
    return Case(jc.conv, shapes, settings)


def _input_grad(delta, kernel, input_size, **settings) -> Case:
    shapes = {"delta": delta, "kernel": kernel}
    return Case(jc.conv_input_grad, shapes, {"input_size": input_size, **settings})


def _kernel_grad(x, delta, kernel_size, **settings) -> Case:
    shapes = {"x": x, "delta": delta}
    return Case(jc.conv_kernel_grad, shapes, {"kernel_size": kernel_size, **settings})


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
    ]
    return [
        Case(op, {"x": shape}, settings, output=0 if op is jc.max_pool_with_switches else None)
        for op in ops
        for shape, settings in geometries
    ]


CASES: list[Case] = [
    _conv((2, 7, 6, 3), (3, 2, 3, 4)),
    _conv((1, 8, 8, 1), (3, 3, 1, 2), stride=3),  # a remainder: 8 − 3 = 5 is no multiple of 3
    _conv((2, 7, 8, 2), (3, 3, 2, 3), stride=2, padding="SAME"),
    _conv((1, 6, 5, 2), (4, 2, 2, 3), padding="SAME"),  # even windows: one zero more at the end
    _conv((2, 5, 6, 2), (3, 2, 2, 2), bias=False, padding="FULL"),
    _conv((1, 6, 7, 2), (2, 3, 2, 3), stride=(2, 3), padding=((0, 2), (3, 1))),
    _conv((2, 9, 8, 2), (3, 2, 2, 2), dilation=(2, 3)),
    _conv((1, 9, 10, 4), (3, 3, 2, 6), groups=2, stride=2, dilation=2, padding=1),
    _conv((2, 5, 5, 3), (3, 3, 1, 6), groups=3, padding="SAME_LOWER"),  # depthwise, two each
    _conv((1, 7, 7, 2), (2, 2, 2, 2), padding=((-1, 2), (1, -2))),
    _conv((3, 5, 4, 2), (5, 4, 2, 3)),  # the kernel covers the map
    _conv((2, 3, 3, 4), (1, 1, 4, 3)),
    _conv((2, 1, 1, 3), (1, 1, 3, 2)),
    _conv((2, 11, 3), (4, 3, 2), stride=3, padding=((2, 1),)),
    _conv((1, 10, 4), (3, 2, 4), groups=2, dilation=2),
    _conv((1, 4, 5, 3, 2), (2, 3, 2, 2, 3), stride=(1, 2, 1), padding="SAME"),
    _conv((1, 3, 4, 5, 2), (2, 2, 3, 1, 2), groups=2, padding=((1, 0), (0, 1), (0, 0))),
    _input_grad((2, 5, 5, 4), (3, 2, 3, 4), (7, 6)),
    _input_grad((1, 2, 2, 2), (3, 3, 1, 2), (8, 8), stride=3),
    _input_grad((1, 4, 3, 6), (3, 3, 2, 6), (9, 8), groups=2, stride=2, dilation=2, padding=1),
    _input_grad((2, 4, 3), (4, 2, 3), (11,), stride=3, padding=((2, 1),)),
    _input_grad((1, 4, 3, 3, 2), (2, 3, 2, 1, 2), (4, 5, 3), stride=(1, 2, 1), padding="SAME"),
    _kernel_grad((2, 7, 6, 3), (2, 5, 5, 4), (3, 2)),
    _kernel_grad((1, 8, 8, 1), (1, 2, 2, 2), (3, 3), stride=3),
    _kernel_grad((2, 9, 8, 4), (2, 4, 3, 6), (3, 3), groups=2, stride=2, dilation=2, padding=1),
    _kernel_grad((2, 11, 2), (2, 4, 3), (4,), stride=3, padding=((2, 1),)),
    _kernel_grad((1, 4, 5, 3, 1), (1, 4, 3, 3, 2), (2, 3, 2), stride=(1, 2, 1), padding="SAME"),
    Case(jc.rot180, {"kernel": (3, 2, 2, 3)}),
    Case(jc.rot180, {"kernel": (4, 1, 2)}),
    Case(jc.rot180, {"kernel": (2, 3, 2, 2, 1)}),
    Case(jc.dilate, {"x": (2, 3, 4, 2)}, {"rate": (2, 3)}),
    Case(jc.dilate, {"x": (1, 5, 2)}, {"rate": 3}),
    Case(jc.subsample, {"x": (2, 7, 6, 2)}, {"rate": (3, 2)}),
    Case(jc.subsample, {"x": (1, 3, 5, 4, 1)}, {"rate": 2}),
    *_pools(jc.max_pool, jc.max_pool_with_switches, jc.avg_pool, jc.sum_pool),
    Case(
        jc.avg_pool,
        {"x": (2, 5, 6, 2)},
        {"window": 3, "stride": 2, "padding": ((1, 0), (0, 2)), "count_include_pad": False},
    ),
    Case(
        jc.gather_at_switches,
        {"x": (2, 6, 7, 2)},
        {"window": (2, 3), "stride": 2},
        {"switches": switch_array(6, (2, 3, 3, 2))},
    ),
    Case(
        jc.scatter_at_switches,
        {"delta": (2, 3, 3, 2)},
        {"window": (2, 3), "stride": 2, "input_size": (6, 7)},
        {"switches": switch_array(6, (2, 3, 3, 2))},
    ),
    Case(
        jc.scatter_at_switches,
        {"delta": (1, 2, 3)},
        {"window": 3, "input_size": (8,)},
        {"switches": switch_array(3, (1, 2, 3))},
    ),
    Case(
        jc.sum_pool_input_grad,
        {"delta": (2, 3, 3, 2)},
        {"window": 3, "stride": 2, "input_size": (7, 8)},
    ),
    Case(jc.sum_pool_input_grad, {"delta": (1, 2, 2, 1)}, {"window": 2, "input_size": (5, 4)}),
    Case(jc.upsample, {"x": (2, 3, 2, 2)}, {"size": (2, 3)}),
    Case(jc.upsample, {"x": (1, 2, 3, 2, 1)}, {"size": 2}),
    Case(jc.dense, {"x": (3, 5), "weight": (5, 4), "bias": (4,)}),
    Case(jc.dense, {"x": (2, 3, 5), "weight": (5, 2)}),
    Case(jc.dense, {"x": (1, 1), "weight": (1, 1), "bias": (1,)}),
    Case(jc.dense_input_grad, {"delta": (3, 4), "weight": (5, 4)}),
    Case(jc.dense_weight_grad, {"x": (2, 3, 5), "delta": (2, 3, 4)}),
    Case(jc.flatten, {"x": (2, 3, 4, 2)}),
    Case(jc.unflatten, {"x": (2, 24)}, {"shape": (3, 4, 2)}),
    Case(jc.relu, {"x": (3, 4, 2)}),
    Case(jc.sigmoid, {"x": (3, 4)}),
    Case(jc.tanh, {"x": (3, 4)}),
    Case(jc.softmax, {"x": (3, 5)}),
    Case(jc.softmax, {"x": (2, 4, 3)}, {"axis": 1}),
    Case(jc.log_softmax, {"x": (3, 5)}),
    Case(jc.log_softmax, {"x": (4, 2, 3)}, {"axis": 0}),
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
    Case(jc.dropout, {"x": (4, 5, 2)}, {"rate": 0.4}, {"key": random_key}),
]  # fmt: skip


# The same operations at shapes of real layers, where time and memory are worth measuring.
LARGE: dict[Callable[..., Any], Case] = {
    case.op: case
    for case in [
        _conv((64, 16, 16, 32), (3, 3, 32, 32), padding=1),
        _input_grad((64, 16, 16, 32), (3, 3, 32, 32), (16, 16), padding=1),
        _kernel_grad((64, 16, 16, 32), (64, 16, 16, 32), (3, 3), padding=1),
        Case(jc.rot180, {"kernel": (3, 3, 128, 128)}),
        Case(jc.dilate, {"x": (64, 16, 16, 32)}, {"rate": 2}),
        Case(jc.subsample, {"x": (64, 32, 32, 32)}, {"rate": 2}),
        Case(jc.max_pool, {"x": (64, 16, 16, 64)}, {"window": 2}),
        Case(jc.max_pool_with_switches, {"x": (64, 16, 16, 64)}, {"window": 2}, output=0),
        Case(
            jc.gather_at_switches,
            {"x": (64, 16, 16, 64)},
            {"window": 2},
            {"switches": switch_array(4, (64, 8, 8, 64))},
        ),
        Case(
            jc.scatter_at_switches,
            {"delta": (64, 8, 8, 64)},
            {"window": 2, "input_size": (16, 16)},
            {"switches": switch_array(4, (64, 8, 8, 64))},
        ),
        Case(jc.avg_pool, {"x": (64, 16, 16, 64)}, {"window": 2}),
        Case(jc.sum_pool, {"x": (64, 16, 16, 64)}, {"window": 2}),
        Case(
            jc.sum_pool_input_grad,
            {"delta": (64, 8, 8, 64)},
            {"window": 2, "input_size": (16, 16)},
        ),
        Case(jc.upsample, {"x": (64, 8, 8, 64)}, {"size": 2}),
        Case(jc.dense, {"x": (256, 512), "weight": (512, 256), "bias": (256,)}),
        Case(jc.dense_input_grad, {"delta": (256, 256), "weight": (512, 256)}),
        Case(jc.dense_weight_grad, {"x": (256, 512), "delta": (256, 256)}),
        Case(jc.flatten, {"x": (256, 8, 8, 64)}),
        Case(jc.unflatten, {"x": (256, 4096)}, {"shape": (8, 8, 64)}),
        *(Case(op, {"x": (64, 16, 16, 64)}) for op in (jc.relu, jc.sigmoid, jc.tanh)),
        *(Case(op, {"x": (1024, 100)}) for op in (jc.softmax, jc.log_softmax)),
        Case(
            jc.softmax_cross_entropy,
            {"logits": (1024, 100)},
            fixed={"targets": label_array(100, (1024,))},
        ),
        *(
            Case(
                op, {"logits": (1024, 100), "targets": (1024, 100)}, draw={"targets": distribution}
            )
            for op in (jc.sigmoid_squared_error, jc.sigmoid_binary_cross_entropy)
        ),
        Case(jc.dropout, {"x": (256, 4096)}, {"rate": 0.5}, {"key": random_key}),
    ]
}
