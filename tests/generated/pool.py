"""Generated poolings, the selection of their maxima, and the adjoints of both."""

from functools import partial
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import jaxcnn as jc
from generated.geometry import Draw, Size, Windows, spelled, windows
from jaxcnn.geometry import parse_pool_geometry
from jaxcnn.gradcheck.cases.case import Case, apart, normal, switch_array

_linear = partial(Case, multilinear=True)


def tied(generator: np.random.Generator, shape: Size) -> np.ndarray:
    """Few different numbers: almost every window has several equal maxima."""
    return generator.integers(-1, 2, shape).astype(float)


def constant(generator: np.random.Generator, shape: Size) -> np.ndarray:
    """One number everywhere: the first element of every window is the maximum."""
    del generator
    return np.full(shape, 0.5)


NUMBERS = st.sampled_from((apart, apart, tied, constant))


def pooled(draw: Draw, **options: Any) -> tuple[Windows, dict[str, Any], Size]:
    """Windows, the settings of a pooling with them, and the size of the result."""
    found = windows(draw, narrow=True, **options)
    settings = {"window": spelled(draw, found.window), **found.settings}
    if draw(st.integers(0, 3)) == 0:
        del settings["stride"]  # the window's size
    if draw(st.booleans()):
        settings["ceil_mode"] = draw(st.booleans())
    try:
        geometry = parse_pool_geometry(
            "pool",
            found.size,
            **{"stride": None, "ceil_mode": False, **settings},
        )
    except ValueError:  # a small map between the taps of a dilated window
        assume(False)
        raise
    return found, settings, geometry.output


def maps(draw: Draw, size: Size) -> Size:
    """The shape of maps of this size."""
    return (draw(st.integers(1, 2)), *size, draw(st.integers(1, 3)))


def flat_positions(
    switches: Any,
    size: Size,
    window: int | Size,
    stride: int | Size,
    padding: int | Size = 0,
    dilation: int | Size = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Places on the map, in row-major order, as PyTorch and ONNX number them, from switches."""
    del ceil_mode
    axes = len(size)
    window, stride, padding, dilation = (
        a if isinstance(a, tuple) else (a,) * axes for a in (window, stride, padding, dilation)
    )
    taps = np.unravel_index(np.asarray(switches), window)
    places = np.indices(switches.shape)[1:-1]
    position = [
        i * s - b + t * d
        for i, s, b, t, d in zip(places, stride, padding, taps, dilation, strict=True)
    ]
    return np.asarray(np.ravel_multi_index(tuple(position), size))


@st.composite
def poolings(draw: Draw, op, **options: Any) -> Case:
    found, settings, _ = pooled(draw, **options)
    shape = {"x": maps(draw, found.size)}
    if op is jc.avg_pool and draw(st.booleans()):
        settings["count_include_pad"] = draw(st.booleans())
    if op is jc.lp_pool:
        settings["p"] = draw(st.sampled_from((1, 1.5, 2, 2.5, 3, 4, 7)))
        return Case(op, shape, settings, kinked=True)
    if op in (jc.avg_pool, jc.sum_pool):
        return _linear(op, shape, settings)
    output = 0 if op is jc.max_pool_with_switches else None
    return Case(op, shape, settings, draw={"x": draw(NUMBERS)}, output=output)


@st.composite
def switched(draw: Draw, op, **options: Any) -> Case:
    """The gather at switches, its adjoint, and unpooling; the switches are any."""
    found, settings, output = pooled(draw, **options)
    n, *_, c = maps(draw, ())
    switches = switch_array(int(np.prod(found.window)), (n, *output, c))
    if op is jc.gather_at_switches:
        shapes = {"x": (n, *found.size, c)}
    else:
        shapes = {"x" if op is jc.max_unpool else "delta": (n, *output, c)}
        depends = settings.get("ceil_mode") or str(settings["padding"]).upper().startswith("SAME")
        if op is jc.scatter_at_switches or depends or draw(st.booleans()):
            settings["input_size"] = found.size
        else:  # the size that leaves no remainder is 1 at least
            stride = found.window if "stride" not in settings else found.stride
            pads = found.pads or ()
            least = [
                (p - 1) * s + e - sum(pair)
                for p, s, e, pair in zip(output, stride, found.extent, pads, strict=True)
            ]
            gap = any(d > h for d, h in zip(found.dilation, least, strict=True))
            assume(min(least) >= 1 and not gap)
    return _linear(op, shapes, settings, {"switches": switches})


@st.composite
def sum_gradients(draw: Draw) -> Case:
    found, settings, output = pooled(draw)
    n, *_, c = maps(draw, ())
    settings["input_size"] = found.size
    return _linear(jc.sum_pool_input_grad, {"delta": (n, *output, c)}, settings)


@st.composite
def whole_maps(draw: Draw, op) -> Case:
    axes = draw(st.integers(1, 3))
    size = draw(st.tuples(*[st.integers(1, (20, 7, 4)[axes - 1])] * axes))
    settings = {"keepdims": draw(st.booleans())} if draw(st.booleans()) else {}
    numbers = normal if op is jc.global_avg_pool else draw(NUMBERS)
    return Case(op, {"x": maps(draw, size)}, settings, draw={"x": numbers})


@st.composite
def adaptive(draw: Draw, op) -> Case:
    """Outputs smaller and larger than the map; few windows, for the twin goes one by one."""
    axes = draw(st.integers(1, 3))
    size = draw(st.tuples(*[st.integers(1, (11, 6, 4)[axes - 1])] * axes))
    output = draw(st.tuples(*[st.integers(1, (7, 4, 2)[axes - 1])] * axes))
    numbers = normal if op is jc.adaptive_avg_pool else draw(NUMBERS)
    settings = {"output_size": spelled(draw, output)}
    return Case(op, {"x": maps(draw, size)}, settings, draw={"x": numbers})


STRATEGIES = {
    **{
        op.__name__: poolings(op)
        for op in (jc.max_pool, jc.max_pool_with_switches, jc.avg_pool, jc.sum_pool, jc.lp_pool)
    },
    **{
        op.__name__: switched(op)
        for op in (jc.gather_at_switches, jc.scatter_at_switches, jc.max_unpool)
    },
    "sum_pool_input_grad": sum_gradients(),
    **{op.__name__: whole_maps(op) for op in (jc.global_avg_pool, jc.global_max_pool)},
    **{op.__name__: adaptive(op) for op in (jc.adaptive_avg_pool, jc.adaptive_max_pool)},
}


def magnitudes(generator: np.random.Generator, shape: Size) -> np.ndarray:
    """Positive numbers, none near 0."""
    return np.abs(apart(generator, shape)) + 0.1


@st.composite
def lp_poolings_of_positive_numbers(draw: Draw) -> Case:
    """Whole windows on the map: what every framework calls an Lp pooling."""
    found = windows(draw, dilated=False, symmetric=True)
    size = tuple(max(h, k) for h, k in zip(found.size, found.window, strict=True))
    settings = {
        "window": found.window,
        "stride": found.settings["stride"],
        "padding": 0,
        "p": draw(st.sampled_from((1, 1.5, 2, 3))),
    }
    return Case(jc.lp_pool, {"x": maps(draw, size)}, settings, draw={"x": magnitudes})
