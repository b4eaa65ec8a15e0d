"""Generated padding, dilation, replication, patches, and their adjoints."""

import math
from functools import partial
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import jaxcnn as jc
from generated.conv import output_size
from generated.geometry import Draw, each, spelled, windows
from generated.pool import maps
from jaxcnn.geometry import COORDINATES, METHODS, ROUNDINGS
from jaxcnn.gradcheck.cases.case import Case

_linear = partial(Case, multilinear=True)


@st.composite
def padded(draw: Draw, op, modes=("zeros", "reflect", "replicate", "circular")) -> Case:
    """As many elements as the mode allows on the map."""
    mode = draw(st.sampled_from(modes))
    axes = draw(st.integers(1, 3))
    size = draw(each(axes, 1, (7, 5, 3)[axes - 1]))
    most = [{"reflect": h - 1, "circular": h}.get(mode, 4) for h in size]
    pads = tuple((draw(st.integers(0, m)), draw(st.integers(0, m))) for m in most)
    flat = {amount for pair in pads for amount in pair}
    padding = flat.pop() if len(flat) == 1 and draw(st.booleans()) else pads
    if op is jc.fold_back:
        size = tuple(h + low + high for h, (low, high) in zip(size, pads, strict=True))
    name = "x" if op is jc.pad else "delta"
    return _linear(op, {name: maps(draw, size)}, {"padding": padding, "mode": mode})


@st.composite
def turned(draw: Draw) -> Case:
    kernel = draw(st.integers(1, 3).flatmap(lambda axes: each(axes, 1, 4)))
    return _linear(jc.rot180, {"kernel": (*kernel, *draw(each(2, 1, 3)))})


@st.composite
def spread(draw: Draw, op, name: str) -> Case:
    """`dilate`, `subsample` and `upsample`: a factor for each axis."""
    axes = draw(st.integers(1, 3))
    size, factor = draw(each(axes, 1, (7, 5, 3)[axes - 1])), draw(each(axes, 1, 3))
    return _linear(op, {"x": maps(draw, size)}, {name: spelled(draw, factor)})


@st.composite
def shuffled(draw: Draw, op, least: int = 1, most: int = 3, orders=("CRD", "DCR")) -> Case:
    axes = draw(st.integers(least, most))
    size, block = draw(each(axes, 1, (5, 4, 2)[axes - 1])), draw(each(axes, 1, 3))
    n, *_, c = maps(draw, ())
    if op is jc.pixel_shuffle:
        c *= math.prod(block)
    else:
        size = tuple(h * b for h, b in zip(size, block, strict=True))
    order = draw(st.sampled_from(orders))
    return _linear(op, {"x": (n, *size, c)}, {"block": spelled(draw, block), "order": order})


@st.composite
def resized(draw: Draw, op, **fixed: Any) -> Case:
    axes = draw(st.integers(1, 3))
    size, output = (
        draw(each(axes, 1, (9, 6, 4)[axes - 1])),
        draw(each(axes, 1, (13, 7, 4)[axes - 1])),
    )
    settings = {
        "method": draw(st.sampled_from(METHODS)),
        "coordinates": draw(st.sampled_from(COORDINATES)),
        "rounding": draw(st.sampled_from(ROUNDINGS)),
        **fixed,
    }
    n, *_, c = maps(draw, ())
    if draw(st.booleans()):
        settings["scale"] = tuple(p / h for h, p in zip(size, output, strict=True))
        output = tuple(math.floor(h * s) for h, s in zip(size, settings["scale"], strict=True))
        assume(min(output) > 0)
    elif op is jc.resize:
        settings["size"] = spelled(draw, output)
    if op is jc.resize:
        return _linear(op, {"x": (n, *size, c)}, settings)
    return _linear(op, {"delta": (n, *output, c)}, {"input_size": spelled(draw, size), **settings})


@st.composite
def patches(draw: Draw, op, **options: Any) -> Case:
    found = windows(draw, **{"negative": True, **options})
    settings = {"window": spelled(draw, found.window), **found.settings}
    if op is jc.patches:
        return _linear(op, {"x": maps(draw, found.size)}, settings)
    n, *_, c = maps(draw, ())
    delta = (n, *output_size("fold", found), c * int(np.prod(found.window)))
    return _linear(op, {"delta": delta}, {**settings, "input_size": found.size})


STRATEGIES = {
    "pad": padded(jc.pad),
    "fold_back": padded(jc.fold_back),
    "rot180": turned(),
    "dilate": spread(jc.dilate, "rate"),
    "subsample": spread(jc.subsample, "rate"),
    "upsample": spread(jc.upsample, "size"),
    **{op.__name__: resized(op) for op in (jc.resize, jc.resize_input_grad)},
    **{op.__name__: shuffled(op) for op in (jc.pixel_shuffle, jc.pixel_unshuffle)},
    "patches": patches(jc.patches),
    "fold": patches(jc.fold),
}
