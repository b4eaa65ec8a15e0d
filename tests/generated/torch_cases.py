"""PyTorch's functions for cases of ours, of operations or at numbers that are not generated for it.

What it calls otherwise, or has with other settings: gradients of convolutions are functions of
`torch.nn.grad`, and what `interpolate` rounds and where it puts the corners is said by its mode.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import jax
import numpy as np
import torch.nn.functional as F  # noqa: N812
from torch.nn import grad

from generated import torch_pool
from generated.peer import Peer, even
from generated.torch_other import elementwise
from jaxcnn.geometry import parse_geometry, parse_pool_geometry
from jaxcnn.gradcheck.cases.case import Case


def lp_pool(case: Case) -> Callable[..., Any]:
    """Of magnitudes: PyTorch takes powers of the numbers as they are."""
    theirs = torch_pool.lp_pool(case)
    return lambda x: theirs(x.abs())


def max_unpool(case: Case) -> Callable[..., Any]:
    window = case.settings["window"]
    size = jax.eval_shape(case.function(), *case.arrays()).shape[1:-1]
    found = parse_pool_geometry("", size, window, case.settings.get("stride"), 0)
    settings = {"window": found.window, "stride": found.stride, "input_size": size}
    return torch_pool.max_unpool(replace(case, settings=settings))


def resize(case: Case) -> Callable[..., Any]:
    options, axes = case.settings, len(case.shapes["x"]) - 2
    if options.get("method", "nearest") == "nearest":
        mode = {"floor": "nearest", "round_prefer_ceil": "nearest-exact"}[options["rounding"]]
        more = {}
    else:
        linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[axes]
        mode = linear if options["method"] == "linear" else "bicubic"
        more = {"align_corners": options["coordinates"] == "align_corners"}
    size = options.get("size")
    return lambda x: F.interpolate(x, size, options.get("scale"), mode, **more)


def resizes(case: Case) -> bool:
    """Whether one of `interpolate`'s modes means these settings."""
    options, axes = case.settings, len(case.shapes["x"]) - 2
    kind = options["coordinates"], options["rounding"]
    if options.get("method", "nearest") == "nearest":
        return kind in (("asymmetric", "floor"), ("half_pixel", "round_prefer_ceil"))
    known = options["method"] == "linear" or axes == 2
    return known and kind[0] in ("half_pixel", "align_corners")


def gradient_of_conv(what: str) -> Callable[[Case], Callable[..., Any]]:
    """`torch.nn.grad.conv2d_input` and its kin, which want shapes as PyTorch has them."""

    def of_case(case: Case) -> Callable[..., Any]:
        axes = len(case.shapes["delta"]) - 2
        theirs = getattr(grad, f"conv{axes}d_{what}")
        found, shape = conv_geometry(case), jax.eval_shape(case.function(), *case.arrays()).shape
        more = found.stride, [low for low, _ in found.padding], found.dilation
        groups = case.settings.get("groups", 1)
        if what == "input":
            size = (shape[0], shape[-1], *shape[1:-1])
            return lambda delta, kernel: theirs(size, kernel, delta, *more, groups)
        size = (*shape[:-3:-1], *shape[:-2])
        return lambda x, delta: theirs(x, size, delta, *more, groups)

    return of_case


def conv_geometry(case: Case) -> Any:
    """Of the convolution whose gradient the case is."""
    options = case.settings
    size = options.get("input_size", case.shapes.get("x", ())[1:-1])
    window = options.get("kernel_size", case.shapes.get("kernel", ())[:-2])
    named = {name: options[name] for name in ("stride", "padding", "dilation")}
    return parse_geometry("", size, window, **named)


def shuffle(theirs: Callable[..., Any]) -> Callable[[Case], Callable[..., Any]]:
    return lambda case: lambda x: theirs(x, case.settings["block"])


def shuffles(case: Case) -> bool:
    """PyTorch's blocks are squares, each of one channel."""
    (shape,), block = case.shapes.values(), case.settings["block"]
    return case.settings["order"] == "CRD" and len(shape) == 4 and isinstance(block, int)


def of_cases(function: Callable[[Case], Callable[..., Any]], layout: str | None = None) -> Peer:
    """A peer for which nothing is generated."""
    return Peer(st.nothing(), function, layout)


PEERS = {
    "lp_pool": of_cases(lp_pool),
    "max_unpool": of_cases(max_unpool),
    "max_pool_with_switches": of_cases(torch_pool.max_pool),
    "pixel_shuffle": of_cases(shuffle(F.pixel_shuffle)),
    "pixel_unshuffle": of_cases(shuffle(F.pixel_unshuffle)),
    "resize": of_cases(resize),
    "conv_input_grad": of_cases(gradient_of_conv("input")),
    "conv_kernel_grad": of_cases(gradient_of_conv("weight")),
    # By its formula: the gradient of `hardsigmoid` is the sixth of a float32.
    "hard_sigmoid": of_cases(elementwise(lambda x: F.relu6(x + 3) / 6), "plain"),
    "soft_shrink": of_cases(elementwise(F.softshrink, ("threshold", 0.5)), "plain"),
}


def overlaps(case: Case) -> bool:
    """Whether windows do, of which PyTorch keeps one where two name the same place."""
    window = case.settings["window"]
    return not np.all(np.array(case.settings.get("stride", window)) >= window)


# Cases, their defaults filled in, whose settings PyTorch has not.
WITHOUT: dict[str, Callable[[Case], Any]] = {
    "lp_pool": lambda case: (
        [case.settings[n] for n in ("padding", "dilation", "ceil_mode")] != ["VALID", 1, False]
    ),
    "max_unpool": overlaps,
    "pixel_shuffle": lambda case: not shuffles(case),
    "pixel_unshuffle": lambda case: not shuffles(case),
    "resize": lambda case: not resizes(case),
    "conv_input_grad": lambda case: not even(conv_geometry(case).padding),
    "conv_kernel_grad": lambda case: not even(conv_geometry(case).padding),
    "soft_shrink": lambda case: "bias" in case.settings,
}
