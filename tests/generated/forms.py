"""Generated arguments for the forms in which convolutions and poolings are computed."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from generated.geometry import Draw
from jaxcnn.geometry import Geometry, parse_geometry, parse_pool_geometry

Problem = tuple[np.ndarray, np.ndarray, np.ndarray, Geometry]


@st.composite
def problems(draw: Draw, kind: str) -> Problem:
    """Arguments that the form takes: maps, kernel, cotangent, geometry."""
    axes = 3 if kind == "slices" else draw(st.integers(1, 3))
    few = st.integers(1, 3)

    def each(choice):
        return tuple(draw(choice) for _ in range(axes))

    window = (1,) * axes if kind == "pointwise" else each(st.integers(1, 4))
    stride, input_dilation = each(few), each(few)
    if kind == "pointwise" and draw(st.booleans()):
        input_dilation = (1,) * axes
    elif kind in ("pointwise", "dilated") or "phases" in kind:
        stride = (1,) * axes
    if kind == "dilated" or "phases" in kind:
        assume(max(input_dilation) > 1)
    dilation = each(few)
    if kind == "banded":
        dilation, input_dilation = (*dilation[:-1], 1), (*input_dilation[:-1], 1)
    groups = draw(st.integers(2, 4)) if kind.startswith(("depthwise", "grouped")) else 1
    channels = few
    if kind == "transforms":
        groups = draw(st.integers(1, 3))
    if kind == "chosen":  # by the numbers of channels, too
        groups, channels = draw(st.sampled_from((1, 1, 2))), st.sampled_from((1, 3, 8, 16, 33))
    size = each(st.integers(1, 9 if axes < 3 else 5))
    padding = each(st.tuples(st.integers(-1, 3), st.integers(-1, 3)))
    try:
        geometry = parse_geometry(
            "conv", size, window, stride=stride, padding=padding,
            dilation=dilation, input_dilation=input_dilation, groups=groups,
        )  # fmt: skip
    except ValueError:
        assume(False)
        raise
    assume(all(h + low > 0 and h + high > 0 for h, (low, high) in zip(size, padding, strict=True)))
    n, c, d = draw(st.integers(1, 6)), draw(channels), draw(channels)
    numbers = np.random.default_rng(draw(st.integers(0, 99)))
    x = numbers.standard_normal((n, *size, c * groups))
    kernel = numbers.standard_normal((*window, c, d * groups))
    delta = numbers.standard_normal((n, *geometry.output, d * groups))
    return x, kernel, delta, geometry


def with_ties(numbers: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Few values, so that maxima tie, some of them infinite and some no numbers."""
    x = numbers.integers(-3, 4, shape).astype(float)
    x[numbers.random(shape) < 0.1] = np.nan
    x[numbers.random(shape) < 0.2] = -np.inf
    return x


@st.composite
def poolings(draw: Draw) -> tuple[np.ndarray, Geometry]:
    """Maps with ties, infinities and no numbers; windows on them."""
    axes = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[Any, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    size, window = each(1, 9 if axes < 3 else 5), each(1, 4)
    lows, highs = each(0, 3), each(0, 3)
    try:
        geometry = parse_pool_geometry(
            "max_pool", size, window, stride=each(1, 3), dilation=each(1, 3),
            padding=tuple(zip(lows, highs, strict=True)), ceil_mode=draw(st.booleans()),
        )  # fmt: skip
    except ValueError:
        assume(False)
        raise
    numbers = np.random.default_rng(draw(st.integers(0, 99)))
    shape = (draw(st.integers(1, 3)), *size, draw(st.sampled_from((1, 3, 9))))
    return with_ties(numbers, shape), geometry
