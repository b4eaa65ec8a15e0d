"""Generated normalisations: axes, groups, parameters that are there or not, epsilon."""

import math

from hypothesis import strategies as st

import jaxcnn as jc
from generated.geometry import Draw, Size
from generated.select import shapes
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.gradcheck.cases.norm import statistics, uneven


def epsilon(draw: Draw, settings: dict, numbers: int) -> None:
    """An epsilon, or its default; a large one for so few numbers that they may be nearly equal.

    Two equal numbers have derivatives like ε^(−3/2), which rounding, and not the rule, decides.
    """
    if numbers < 4:
        settings["epsilon"] = draw(st.sampled_from((0.1, 0.5, 2.0)))
    elif draw(st.booleans()):
        settings["epsilon"] = draw(st.sampled_from((1e-6, 1e-5, 1e-3, 0.1, 0.5)))


def with_parameters(draw: Draw, x: Size, size: Size, names=("scale", "bias")) -> dict[str, Size]:
    """The shapes of x and of those parameters that are there."""
    return {"x": x, **{name: size for name in names if draw(st.booleans())}}


def drawn(draw: Draw) -> dict:
    """Numbers around 0 or around 3."""
    return {"x": uneven} if draw(st.booleans()) else {}


@st.composite
def batch_norms(draw: Draw) -> Case:
    x = draw(shapes(2, 5))
    settings: dict = {}
    epsilon(draw, settings, math.prod(x[:-1]))
    given = with_parameters(draw, x, x[-1:])
    output = draw(st.sampled_from((0, None)))
    return Case(jc.batch_norm, given, settings, draw=drawn(draw), output=output)


@st.composite
def inference_norms(draw: Draw) -> Case:
    x = draw(shapes(2, 5))
    given = with_parameters(draw, x, x[-1:])
    settings = {name: None for name in ("scale", "bias") if name not in given}
    epsilon(draw, settings, 4)
    return Case(jc.batch_norm_inference, given, settings, statistics(x[-1]), draw=drawn(draw))


@st.composite
def norms_of_last_axes(draw: Draw, op) -> Case:
    x = draw(shapes(1, 5))
    count = draw(st.integers(1, len(x)))
    first = len(x) - count
    settings: dict = {}
    if count > 1 or draw(st.booleans()):
        spellings = [tuple(range(-count, 0)), tuple(range(first, len(x)))]
        settings["axes"] = draw(st.sampled_from([*spellings, -1] if count == 1 else spellings))
    epsilon(draw, settings, math.prod(x[first:]))
    names = ("scale", "bias") if op is jc.layer_norm else ("scale",)
    return Case(op, with_parameters(draw, x, x[first:], names), settings, draw=drawn(draw))


@st.composite
def norms_of_maps(draw: Draw, op) -> Case:
    x = draw(shapes(3, 5)) if op is jc.instance_norm else draw(shapes(2, 5))
    settings: dict = {}
    of_a_group = 1
    if op is jc.group_norm:
        of_a_group, groups = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        x = (*x[:-1], of_a_group * groups)
        settings["groups"] = groups
    epsilon(draw, settings, math.prod(x[1:-1]) * of_a_group)
    return Case(op, with_parameters(draw, x, x[-1:]), settings, draw=drawn(draw))


@st.composite
def responses(draw: Draw) -> Case:
    x = (*draw(shapes(0, 4, 3)), draw(st.integers(1, 9)))
    values = {
        "size": st.integers(1, 7),
        "k": st.sampled_from((0.5, 1.0, 2.0)),
        "alpha": st.sampled_from((1e-4, 0.3, 1.0)),
        "beta": st.sampled_from((0.5, 0.75, 1.0, 1.5)),
        "average": st.booleans(),
    }
    settings = {name: draw(value) for name, value in values.items() if draw(st.booleans())}
    return Case(jc.local_response_norm, {"x": x}, settings)


STRATEGIES = {
    "batch_norm": batch_norms(),
    "batch_norm_inference": inference_norms(),
    **{op.__name__: norms_of_last_axes(op) for op in (jc.layer_norm, jc.rms_norm)},
    **{op.__name__: norms_of_maps(op) for op in (jc.group_norm, jc.instance_norm)},
    "local_response_norm": responses(),
}
