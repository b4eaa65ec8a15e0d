"""Convolutions and their two gradients."""

from functools import partial

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case

_linear = partial(Case, multilinear=True)


def _conv(x, kernel, bias=True, **settings) -> Case:
    shapes = {"x": x, "kernel": kernel}
    if bias:
        shapes["bias"] = kernel[-1:]
    return _linear(jc.conv, shapes, settings)


def _input_grad(delta, kernel, input_size, **settings) -> Case:
    shapes = {"delta": delta, "kernel": kernel}
    return _linear(jc.conv_input_grad, shapes, {"input_size": input_size, **settings})


def _kernel_grad(x, delta, kernel_size, **settings) -> Case:
    shapes = {"x": x, "delta": delta}
    return _linear(jc.conv_kernel_grad, shapes, {"kernel_size": kernel_size, **settings})


TABLE = ((0, 1), (1, 2), (0, 2), (0, 1, 2))


def _transpose(x, kernel, bias=True, groups=1, **settings) -> Case:
    shapes = {"x": x, "kernel": kernel}
    if bias:
        shapes["bias"] = (kernel[-2] * groups,)
    return _linear(jc.conv_transpose, shapes, {"groups": groups, **settings})


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
    _conv((2, 4, 3, 2), (3, 2, 2, 3), input_dilation=(2, 3), stride=2, padding=1),
    _conv((1, 5, 2), (3, 2, 3), input_dilation=3, dilation=2),
    _linear(jc.true_conv, {"x": (2, 6, 5, 2), "kernel": (3, 2, 2, 3), "bias": (3,)}, {"stride": 2}),
    _linear(jc.true_conv, {"x": (1, 7, 4), "kernel": (3, 2, 4)}, {"groups": 2, "padding": "SAME"}),
    _linear(jc.depthwise_conv, {"x": (2, 6, 5, 3), "kernel": (3, 3, 1, 6), "bias": (6,)}),
    _linear(
        jc.depthwise_conv, {"x": (1, 7, 7, 2), "kernel": (3, 2, 1, 2)}, {"stride": 2, "padding": 1}
    ),
    # Longer than what the kernel gradient adds at once, with a remainder.
    _linear(
        jc.depthwise_conv,
        {"x": (2, 37, 3, 2), "kernel": (3, 2, 1, 2)},
        {"stride": (2, 1), "padding": ((2, -1), (1, 1)), "dilation": (2, 1)},
    ),
    _conv((2, 7, 3), (3, 1, 3), groups=3, input_dilation=2, padding="SAME"),
    _input_grad((1, 4, 3, 2), (3, 3, 1, 2), (9, 8), groups=2, stride=2, dilation=2, padding=1),
    _kernel_grad((2, 9, 8, 2), (2, 4, 3, 2), (3, 3), groups=2, stride=2, dilation=2, padding=1),
    _linear(
        jc.table_conv,
        {"x": (2, 5, 6, 3), "weights": (3, 2, 9), "bias": (4,)},
        {"table": TABLE, "stride": 2},
    ),
    _linear(
        jc.table_conv, {"x": (1, 6, 3), "weights": (2, 9)}, {"table": TABLE, "padding": "SAME"}
    ),
    _linear(  # as many maps out as in
        jc.table_conv,
        {"x": (1, 5, 6, 3), "weights": (3, 2, 6), "bias": (3,)},
        {"table": ((0, 1), (1, 2), (0, 2))},
    ),
    _transpose((2, 4, 3, 4), (3, 2, 3, 4)),
    _transpose((1, 3, 4, 2), (3, 3, 1, 2), stride=3, output_padding=(2, 0)),
    _transpose((2, 3, 4, 6), (3, 2, 2, 6), groups=2, stride=2, padding=1, output_padding=1),
    _transpose((1, 4, 3, 2), (4, 3, 2, 2), bias=False, stride=2, padding="SAME"),
    _transpose((1, 5, 3), (3, 2, 3), stride=2, dilation=2, padding=((1, 2),)),
    _transpose((1, 2, 3, 2), (2, 2, 1, 2), stride=(2, 1), padding=((-2, -1), (0, -2))),
    _transpose(
        (1, 2, 3, 2, 2), (2, 3, 2, 1, 2), stride=(1, 2, 3), padding=((0, 1), (1, 1), (0, 0))
    ),
]

LARGE: list[Case] = [
    _conv((64, 16, 16, 32), (3, 3, 32, 32), padding=1),
    _input_grad((64, 16, 16, 32), (3, 3, 32, 32), (16, 16), padding=1),
    _kernel_grad((64, 16, 16, 32), (64, 16, 16, 32), (3, 3), padding=1),
    _linear(jc.true_conv, {"x": (64, 16, 16, 32), "kernel": (3, 3, 32, 32)}, {"padding": 1}),
    _linear(jc.depthwise_conv, {"x": (64, 16, 16, 32), "kernel": (3, 3, 1, 32)}, {"padding": 1}),
    _linear(jc.table_conv, {"x": (64, 14, 14, 3), "weights": (5, 5, 9)}, {"table": TABLE}),
    _transpose((64, 8, 8, 32), (3, 3, 32, 32), stride=2, padding=1, output_padding=1),
]
