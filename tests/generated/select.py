"""Generated matrices, selections of rows and channels, reshapes, and what is left out at random."""

from functools import partial

from hypothesis import strategies as st

import jaxcnn as jc
from generated.geometry import Draw, Size, each, spelled
from generated.pool import maps
from jaxcnn.gradcheck.cases.case import Case, label_array, random_key

_linear = partial(Case, multilinear=True)


def shapes(least: int, most: int, size: int = 4) -> st.SearchStrategy[Size]:
    """The shape of an array with a few axes."""
    return st.integers(least, most).flatmap(lambda axes: each(axes, 1, size))


@st.composite
def dense(draw: Draw, op) -> Case:
    leading = draw(shapes(1, 3, 3))
    c, d = draw(each(2, 1, 6))
    x, delta, weight = (*leading, c), (*leading, d), (c, d)
    if op is jc.dense:
        given = {"x": x, "weight": weight}
        return _linear(op, {**given, "bias": (d,)} if draw(st.booleans()) else given)
    if op is jc.dense_input_grad:
        return _linear(op, {"delta": delta, "weight": weight})
    return _linear(op, {"x": x, "delta": delta})


@st.composite
def embeddings(draw: Draw, op) -> Case:
    leading = draw(shapes(0, 3))
    vocabulary, features = draw(each(2, 1, 6))
    fixed = {"ids": label_array(vocabulary, leading)}
    if op is jc.embedding:
        return _linear(op, {"table": (vocabulary, features)}, {}, fixed)
    return _linear(op, {"delta": (*leading, features)}, {"vocabulary": vocabulary}, fixed)


@st.composite
def reshaped(draw: Draw, op) -> Case:
    n, *rest = draw(shapes(2, 5, 3))
    if op is jc.flatten:
        return _linear(op, {"x": (n, *rest)})
    row = 1
    for h in rest:
        row *= h
    return _linear(op, {"x": (n, row)}, {"shape": tuple(rest)})


@st.composite
def joined(draw: Draw, op) -> Case:
    leading = draw(shapes(0, 4, 3))
    sizes = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    if op is jc.split:
        return _linear(op, {"x": (*leading, sum(sizes))}, {"sizes": sizes})
    parts = {f"part {i}": (*leading, c) for i, c in enumerate(sizes)}
    return _linear(op, parts, as_one="parts")


@st.composite
def channels(draw: Draw, op) -> Case:
    leading, c = draw(shapes(0, 3, 3)), draw(st.integers(1, 5))
    if op is jc.scale_channels:
        given = {"x": (*leading, c), "scale": (c,)}
        return _linear(op, {**given, "bias": (c,)} if draw(st.booleans()) else given)
    before, after = draw(each(2, 0, 3))
    if op is jc.crop_channels:
        c += before + after
    return _linear(op, {"x": (*leading, c)}, {"before": before, "after": after})


RATES = st.sampled_from((0, 0.1, 0.25, 0.5, 0.9, 1, 1.0))


@st.composite
def dropouts(draw: Draw, op) -> Case:
    settings = {"rate": draw(RATES)}
    if op is jc.dropout:
        shape = draw(shapes(0, 4, 5))
    else:
        axes = draw(st.integers(1, 3))
        size = draw(each(axes, 1, (9, 6, 4)[axes - 1]))
        shape = maps(draw, size)
        if op is jc.drop_block:
            block = tuple(draw(st.integers(1, min(h, 3))) for h in size)
            settings["block"] = spelled(draw, block)
    return _linear(op, {"x": shape}, settings, {"key": random_key})


STRATEGIES = {
    **{op.__name__: dense(op) for op in (jc.dense, jc.dense_input_grad, jc.dense_weight_grad)},
    **{op.__name__: embeddings(op) for op in (jc.embedding, jc.embedding_table_grad)},
    **{op.__name__: reshaped(op) for op in (jc.flatten, jc.unflatten)},
    **{op.__name__: joined(op) for op in (jc.concatenate, jc.split)},
    **{op.__name__: channels(op) for op in (jc.pad_channels, jc.crop_channels, jc.scale_channels)},
    **{op.__name__: dropouts(op) for op in (jc.dropout, jc.spatial_dropout, jc.drop_block)},
}
