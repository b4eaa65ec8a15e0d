"""Generated losses: labels and distributions, weights, smoothing, labels to ignore, reductions."""

from functools import partial

import numpy as np
from hypothesis import strategies as st

import jaxcnn as jc
from generated.geometry import Draw, Size
from generated.select import shapes
from jaxcnn.gradcheck.cases.case import Case, distribution, normal
from jaxcnn.gradcheck.cases.loss import positive

REDUCTIONS = st.sampled_from(("mean", "sum", "none"))


def reduction(draw: Draw) -> dict[str, str]:
    """A reduction, or the default."""
    return {"reduction": draw(REDUCTIONS)} if draw(st.integers(0, 3)) else {}


def labels(
    generator: np.random.Generator, *, classes: int, shape: Size, ignored: int | None, dtype: str
) -> np.ndarray:
    """Labels of which some are to be ignored, but not all: a mean over none is no number."""
    drawn = generator.integers(0, classes, shape)
    if ignored is not None:
        drawn = np.where(generator.uniform(size=shape) < 0.3, ignored, drawn)
        drawn.reshape(-1)[:1] = (ignored + 1) % classes
    return drawn.astype(dtype)


@st.composite
def cross_entropies(draw: Draw) -> Case:
    leading, classes = draw(shapes(1, 3)), draw(st.integers(1, 6))
    given = {"logits": (*leading, classes)}
    draws: dict = {}
    settings: dict = reduction(draw)
    fixed: dict = {}
    if draw(st.booleans()):
        settings["label_smoothing"] = draw(st.sampled_from((0.0, 0.1, 0.5, 1.0)))
    if draw(st.integers(0, 2)) == 0:
        given["targets"] = given["logits"]
        draws["targets"] = draw(st.sampled_from((distribution, normal)))
    else:
        ignored = None
        if draw(st.booleans()):
            inside = list(range(classes)) if classes > 1 else []
            ignored = draw(st.sampled_from([*inside, -1, -100]))
            settings["ignore_index"] = ignored
        signed = ignored is not None and ignored < 0
        dtype = draw(st.sampled_from(("int32", "int64", "int8" if signed else "uint8")))
        fixed["targets"] = partial(
            labels, classes=classes, shape=leading, ignored=ignored, dtype=dtype
        )
    if draw(st.booleans()):
        given["class_weights"] = (classes,)
        draws["class_weights"] = positive
    return Case(jc.softmax_cross_entropy, given, settings, fixed, draws)


def fractions(generator: np.random.Generator, shape: Size) -> np.ndarray:
    """Numbers in [0, 1], both ends among them."""
    return np.clip(generator.uniform(-0.3, 1.3, shape), 0, 1)


def sparse(generator: np.random.Generator, shape: Size) -> np.ndarray:
    """Probabilities of which some are 0."""
    numbers = fractions(generator, shape)
    return numbers / np.maximum(numbers.sum(-1, keepdims=True), 1)


FIRST = {
    jc.sigmoid_binary_cross_entropy: ("logits", (fractions,)),
    jc.sigmoid_squared_error: ("logits", (normal, fractions)),
    jc.squared_error: ("predictions", (normal,)),
    jc.absolute_error: ("predictions", (normal,)),
    jc.huber: ("predictions", (normal,)),
    jc.smooth_l1: ("predictions", (normal,)),
    jc.kl_divergence: ("log_predictions", (distribution, sparse)),
}
LIMITS = {jc.huber: "delta", jc.smooth_l1: "beta"}


@st.composite
def of_two_arrays(draw: Draw, op) -> Case:
    first, targets = FIRST[op]
    shape = (*draw(shapes(1, 3)), draw(st.integers(1, 6)))
    settings: dict = reduction(draw)
    if op in LIMITS and draw(st.booleans()):
        settings[LIMITS[op]] = draw(st.sampled_from((0.1, 0.7, 1.3, 5.0)))
    given = {first: shape, "targets": shape}
    return Case(op, given, settings, draw={"targets": draw(st.sampled_from(targets))})


@st.composite
def decays(draw: Draw) -> Case:
    sizes = draw(st.lists(shapes(0, 3), min_size=1, max_size=3))
    settings: dict = {"strength": draw(st.sampled_from((5e-4, 0.3, 2, 0)))}
    given = {f"part {i}": size for i, size in enumerate(sizes)}
    if draw(st.booleans()):
        mask = tuple(draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes))))
        settings["mask"] = mask if any(mask) else True
    return Case(jc.weight_decay, given, settings, as_one="params")


STRATEGIES = {
    "softmax_cross_entropy": cross_entropies(),
    **{op.__name__: of_two_arrays(op) for op in FIRST},
    "weight_decay": decays(),
}
