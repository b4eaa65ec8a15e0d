"""PyTorch's poolings for generated cases."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

import jaxcnn as jc
from generated import STRATEGIES, pool
from generated.peer import Peer, fixed_arguments
from jaxcnn.geometry import parse_pool_geometry
from jaxcnn.gradcheck.cases.case import Case


def pool_arguments(case: Case) -> tuple[int, list[Any]]:
    """The axes; the window, stride and padding."""
    size = case.shapes["x"][1:-1]
    options = {"stride": None, **case.settings}
    named = {key: options[key] for key in ("window", "stride", "padding") if key in options}
    found = parse_pool_geometry("", size, **named, dilation=options.get("dilation", 1))
    return len(size), [found.window, found.stride, [low for low, _ in found.padding]]


def max_pool(case: Case) -> Callable[..., Any]:
    axes, arguments = pool_arguments(case)
    more = (case.settings.get("dilation", 1), case.settings.get("ceil_mode", False))
    return lambda x, indices=False: getattr(F, f"max_pool{axes}d")(x, *arguments, *more, indices)


def avg_pool(case: Case) -> Callable[..., Any]:
    axes, arguments = pool_arguments(case)
    more = [case.settings.get(*o) for o in (("ceil_mode", False), ("count_include_pad", True))]
    return lambda x: getattr(F, f"avg_pool{axes}d")(x, *arguments, *more)


def lp_pool(case: Case) -> Callable[..., Any]:
    axes, (window, stride, _) = pool_arguments(case)
    if axes == 1:  # where PyTorch wants integers
        window, stride = window[0], stride[0]
    p = float(case.settings["p"])
    return lambda x: getattr(F, f"lp_pool{axes}d")(x, p, window, stride)


def adaptive(kind: str) -> Callable[[Case], Callable[..., Any]]:
    def of_case(case: Case) -> Callable[..., Any]:
        axes = len(case.shapes["x"]) - 2
        theirs = getattr(F, f"adaptive_{kind}_pool{axes}d")
        return lambda x: theirs(x, case.settings["output_size"])

    return of_case


def global_pool(kind: str) -> Callable[[Case], Callable[..., Any]]:
    def of_case(case: Case) -> Callable[..., Any]:
        axes = len(case.shapes["x"]) - 2
        theirs = getattr(F, f"adaptive_{kind}_pool{axes}d")
        keep = case.settings.get("keepdims", False)
        return lambda x: theirs(x, 1) if keep else theirs(x, 1).flatten(1)

    return of_case


def max_unpool(case: Case) -> Callable[..., Any]:
    """Windows that do not overlap: where two name the same place PyTorch keeps one of them."""
    axes = len(case.shapes["x"]) - 2
    size = case.settings["input_size"]
    window, stride = case.settings["window"], case.settings["stride"]

    # Here: within its transformations PyTorch lets nobody read a tensor's numbers.
    drawn = np.asarray(fixed_arguments(case)["switches"])
    taps, starts = np.unravel_index(drawn, window), np.indices(drawn.shape)[1:-1]
    places = [i * s + t for i, s, t in zip(starts, stride, taps, strict=True)]
    flat_places = np.moveaxis(np.asarray(np.ravel_multi_index(places, size)), -1, 1)

    def function(x, switches):
        del switches
        indices = torch.tensor(flat_places)
        return getattr(F, f"max_unpool{axes}d")(x, indices, window, stride, 0, size)

    return function


@st.composite
def disjoint(draw) -> Case:
    axes = draw(st.integers(1, 3))
    window = draw(st.tuples(*[st.integers(1, 3)] * axes))
    stride = tuple(k + draw(st.integers(0, 1)) for k in window)
    output = draw(st.tuples(*[st.integers(1, 3)] * axes))
    size = tuple(
        (p - 1) * s + k + draw(st.integers(0, s - 1))
        for p, s, k in zip(output, stride, window, strict=True)
    )
    shape = (draw(st.integers(1, 2)), *output, draw(st.integers(1, 3)))
    settings = {"window": window, "stride": stride, "input_size": size}
    return Case(
        jc.max_unpool, {"x": shape}, settings,
        {"switches": lambda generator: generator.integers(0, int(np.prod(window)), shape)},
    )  # fmt: skip


def upsample(case: Case) -> Callable[..., Any]:
    size, axes = case.settings["size"], len(case.shapes["x"]) - 2
    size = size if isinstance(size, tuple) else (size,) * axes
    return lambda x: F.interpolate(x, scale_factor=tuple(map(float, size)), mode="nearest-exact")


PEERS = {
    "max_pool": Peer(pool.poolings(jc.max_pool, symmetric=True), max_pool),
    "avg_pool": Peer(
        # PyTorch's avg_pool3d wants the window to fit into the map without its padding.
        pool.poolings(jc.avg_pool, symmetric=True, dilated=False).filter(
            lambda case: np.all(np.array(case.settings["window"]) <= case.shapes["x"][1:-1])
        ),
        avg_pool,
    ),
    # Of numbers of one sign and whole windows: PyTorch takes no absolute value.
    "lp_pool": Peer(pool.lp_poolings_of_positive_numbers(), lp_pool),
    "adaptive_avg_pool": Peer(STRATEGIES["adaptive_avg_pool"], adaptive("avg")),
    "adaptive_max_pool": Peer(STRATEGIES["adaptive_max_pool"], adaptive("max")),
    "global_avg_pool": Peer(STRATEGIES["global_avg_pool"], global_pool("avg")),
    "global_max_pool": Peer(STRATEGIES["global_max_pool"], global_pool("max")),
    "max_unpool": Peer(disjoint(), max_unpool),
    "upsample": Peer(STRATEGIES["upsample"], upsample),
}
