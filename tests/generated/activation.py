"""Generated activations: between their kinks, and on them."""

import numpy as np
from hypothesis import strategies as st

import jaxcnn as jc
from generated.geometry import Draw, Size
from generated.pool import NUMBERS
from generated.select import shapes
from jaxcnn.gradcheck.cases.activation import CASES, ELEMENTWISE
from jaxcnn.gradcheck.cases.case import Case

KINKS = np.array([-8.0, -3, -1, 0, 1, 3, 6, 8])


def between_kinks(generator: np.random.Generator, shape: Size) -> np.ndarray:
    """Numbers in (−8, 8), none near a kink."""
    piece = generator.integers(0, len(KINKS) - 1, shape)
    share = generator.uniform(0.1, 0.9, shape)
    return KINKS[piece] * (1 - share) + KINKS[piece + 1] * share


def on_kinks(generator: np.random.Generator, shape: Size) -> np.ndarray:
    """Whole numbers, many of them kinks: the convention there is the twin's, at order 1."""
    return generator.integers(-4, 8, shape).astype(float)


# Where settings have more to show than in the table of cases.
OPTIONS = {
    jc.leaky_relu: {"slope": st.sampled_from((0.01, 0.3, 1.5, -0.5, 0.0))},
    jc.elu: {"alpha": st.sampled_from((1.0, 0.3, 2.5))},
    jc.celu: {"alpha": st.sampled_from((1.0, 0.25, 4.0))},  # 1/α is rounded in PyTorch
    jc.thresholded_relu: {"alpha": st.sampled_from((0.0, 1.0, -1.0, 3.0))},
    jc.hard_shrink: {"threshold": st.sampled_from((0.0, 1.0, 3.0))},
    jc.soft_shrink: {
        "threshold": st.sampled_from((0.0, 1.0, 3.0)),
        "bias": st.sampled_from((0.0, 0.5, -1.5)),
    },
}


def options(op) -> dict[str, st.SearchStrategy]:
    """What its settings may be, by default those of its cases."""
    settings = [case.settings for case in CASES if case.op is op]
    return OPTIONS.get(op) or {
        name: st.sampled_from([given[name] for given in settings if name in given])
        for name in dict.fromkeys(name for given in settings for name in given)
    }


@st.composite
def elementwise(draw: Draw, op) -> Case:
    shape = draw(shapes(0, 4))
    settings = {name: draw(values) for name, values in options(op).items() if draw(st.booleans())}
    numbers = draw(st.sampled_from((between_kinks, between_kinks, on_kinks)))
    return Case(op, {"x": shape}, settings, draw={"x": numbers})


@st.composite
def with_slopes(draw: Draw) -> Case:
    shape = draw(shapes(0, 4))
    last = shape[draw(st.integers(0, len(shape))) :]
    slope = tuple(1 if draw(st.booleans()) else h for h in last)
    numbers = draw(st.sampled_from((between_kinks, between_kinks, on_kinks)))
    return Case(jc.prelu, {"x": shape, "slope": slope}, draw={"x": numbers})


@st.composite
def along_an_axis(draw: Draw, op) -> Case:
    shape = draw(shapes(1, 4, 5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return Case(op, {"x": shape}, {"axis": axis} if draw(st.booleans()) else {})


@st.composite
def maxima(draw: Draw) -> Case:
    pieces, features = draw(st.tuples(st.integers(1, 4), st.integers(1, 3)))
    shape = (*draw(shapes(0, 3, 3)), pieces * features)
    return Case(jc.maxout, {"x": shape}, {"pieces": pieces}, draw={"x": draw(NUMBERS)})


STRATEGIES = {
    **{op.__name__: elementwise(op) for op in ELEMENTWISE},
    "prelu": with_slopes(),
    "maxout": maxima(),
    **{op.__name__: along_an_axis(op) for op in (jc.softmax, jc.log_softmax)},
}
