"""Generated convolutions of every kind, and the gradients of `conv`."""

from functools import partial

from hypothesis import strategies as st

import jaxcnn as jc
from generated.geometry import Draw, Size, Windows, amounts, each, paddings, spelled, windows
from jaxcnn.geometry import parse_geometry
from jaxcnn.gradcheck.cases.case import Case

_linear = partial(Case, multilinear=True)


def output_size(op: str, found: Windows) -> Size:
    """The size of the result."""
    return parse_geometry(op, found.size, found.window, **found.settings).output


def channels(draw: Draw) -> tuple[int, int, int]:
    """Channels in and out of a group, and how many groups."""
    return tuple(
        draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from((1, 1, 2, 3))))
    )


def with_bias(draw: Draw, shapes: dict[str, Size], size: int) -> dict[str, Size]:
    """The shapes, with a bias or without."""
    return {**shapes, "bias": (size,)} if draw(st.booleans()) else shapes


@st.composite
def convolutions(draw: Draw, op, *, input_dilated: bool = True) -> Case:
    found = windows(draw, negative=True, input_dilated=input_dilated)
    c, d, groups = channels(draw)
    n = draw(st.integers(1, 2))
    shapes = {"x": (n, *found.size, c * groups), "kernel": (*found.window, c, d * groups)}
    shapes = with_bias(draw, shapes, d * groups)
    return _linear(op, shapes, {**found.settings, "groups": groups})


@st.composite
def input_gradients(draw: Draw) -> Case:
    found = windows(draw, negative=True, input_dilated=True)
    c, d, groups = channels(draw)
    delta = (draw(st.integers(1, 2)), *output_size("conv", found), d * groups)
    settings = {"input_size": found.size, **found.settings, "groups": groups}
    shapes = {"delta": delta, "kernel": (*found.window, c, d * groups)}
    return _linear(jc.conv_input_grad, shapes, settings)


@st.composite
def kernel_gradients(draw: Draw) -> Case:
    found = windows(draw, negative=True, input_dilated=True)
    c, d, groups = channels(draw)
    n = draw(st.integers(1, 2))
    delta = (n, *output_size("conv", found), d * groups)
    settings = {"kernel_size": found.window, **found.settings, "groups": groups}
    shapes = {"x": (n, *found.size, c * groups), "delta": delta}
    return _linear(jc.conv_kernel_grad, shapes, settings)


@st.composite
def depthwise_convolutions(draw: Draw) -> Case:
    found = windows(draw, negative=True)
    c, multiplier = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    shapes = {
        "x": (draw(st.integers(1, 2)), *found.size, c),
        "kernel": (*found.window, 1, c * multiplier),
    }
    return _linear(jc.depthwise_conv, with_bias(draw, shapes, c * multiplier), found.settings)


@st.composite
def table_convolutions(draw: Draw) -> Case:
    found = windows(draw, negative=True)
    c = draw(st.integers(1, 4))
    inputs = st.lists(st.integers(0, c - 1), min_size=1, max_size=c, unique=True).map(tuple)
    table = tuple(draw(st.lists(inputs, min_size=1, max_size=4)))
    shapes = {
        "x": (draw(st.integers(1, 2)), *found.size, c),
        "weights": (*found.window, sum(map(len, table))),
    }
    return _linear(
        jc.table_conv, with_bias(draw, shapes, len(table)), {"table": table, **found.settings}
    )


@st.composite
def transposed_convolutions(draw: Draw) -> Case:
    """Sizes so that the padding leaves something; an output padding below the stride."""
    axes = draw(st.integers(1, 3))
    window, dilation = draw(each(axes, 1, (4, 3, 2)[axes - 1])), draw(each(axes, 1, 2))
    stride = draw(each(axes, 1, 3))
    extent = tuple((k - 1) * d + 1 for k, d in zip(window, dilation, strict=True))
    padding = paddings(draw, -2, extent)
    pads = amounts(padding, extent)
    # "SAME" leaves one size only.
    output_padding = tuple(draw(st.integers(0, s - 1 if pads else 0)) for s in stride)
    size = []
    for axis in range(axes):
        least = 1
        if pads is not None:
            # (p − 1)·s + e − low − high + o has to be 1 at least.
            room = sum(pads[axis]) + 1 - extent[axis] - output_padding[axis]
            least = max(-(-room // stride[axis]) + 1, 1)
        size.append(least + draw(st.integers(0, (4, 3, 1)[axes - 1])))
    c, d, groups = channels(draw)
    shapes = {
        "x": (draw(st.integers(1, 2)), *size, d * groups),
        "kernel": (*window, c, d * groups),
    }
    settings = {
        "stride": spelled(draw, stride),
        "padding": padding,
        "output_padding": spelled(draw, output_padding),
        "dilation": spelled(draw, dilation),
        "groups": groups,
    }
    return _linear(jc.conv_transpose, with_bias(draw, shapes, c * groups), settings)


STRATEGIES = {
    "conv": convolutions(jc.conv),
    "conv_input_grad": input_gradients(),
    "conv_kernel_grad": kernel_gradients(),
    "true_conv": convolutions(jc.true_conv),
    "depthwise_conv": depthwise_convolutions(),
    "table_conv": table_convolutions(),
    "conv_transpose": transposed_convolutions(),
}
