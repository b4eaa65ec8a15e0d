"""PyTorch's convolutions, paddings and patches for generated cases."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch.nn.functional as F  # noqa: N812

import jaxcnn as jc
from generated import STRATEGIES, windows
from generated.conv import convolutions
from generated.geometry import amounts
from generated.peer import Peer, even, flat
from jaxcnn.geometry import Geometry, parse_geometry
from jaxcnn.gradcheck.cases.case import Case


def conv_geometry(case: Case) -> Geometry:
    """Of a convolution or of the patches of one."""
    named = {key: case.settings.get(key, 1) for key in ("stride", "dilation")}
    shape = case.shapes["x"]
    window = case.shapes["kernel"][:-2] if "kernel" in case.shapes else case.settings["window"]
    window = window if isinstance(window, tuple) else (window,) * (len(shape) - 2)
    return parse_geometry("", shape[1:-1], window, **named, padding=case.settings["padding"])


def conv(case: Case) -> Callable[..., Any]:
    """Paddings that PyTorch's convolution does not know are those of its `pad`."""
    geometry = conv_geometry(case)
    theirs = getattr(F, f"conv{geometry.axes}d")
    groups = case.settings.get("groups", case.shapes["x"][-1])

    def function(x, kernel, bias=None):
        if case.op is jc.true_conv:
            kernel = kernel.flip(tuple(range(2, kernel.ndim)))
        padding = [low for low, _ in geometry.padding]
        if not even(geometry.padding):
            x, padding = F.pad(x, flat(geometry.padding)), 0
        return theirs(x, kernel, bias, geometry.stride, padding, geometry.dilation, groups)

    return function


def conv_transpose(case: Case) -> Callable[..., Any]:
    """A padding crops the result; one that PyTorch does not know is cropped by its `pad`."""
    size, window, options = case.shapes["x"][1:-1], case.shapes["kernel"][:-2], case.settings
    axes = len(size)
    extent = [int(e) for e in (np.array(window) - 1) * options["dilation"] + 1]
    stride, extra = options["stride"], options["output_padding"]
    pads = amounts(options["padding"], extent)
    if pads is None:
        large = [int(h) for h in np.array(size) * options["stride"]]
        named = {name: options[name] for name in ("stride", "padding", "dilation")}
        pads = parse_geometry("", large, window, **named).padding
        # "SAME" makes p·stride elements of p, more than the windows reach if the stride is longer.
        extra = [
            max(s - e, 0)
            for s, e in zip(np.broadcast_to(stride, axes).tolist(), extent, strict=True)
        ]
    theirs = getattr(F, f"conv_transpose{axes}d")

    more = (options["groups"], options["dilation"])

    def function(x, kernel, bias=None):
        if even(pads):
            return theirs(x, kernel, bias, stride, [low for low, _ in pads], extra, *more)
        y = F.pad(theirs(x, kernel, None, stride, 0, extra, *more), flat(pads, -1))
        return y if bias is None else y + bias.reshape(-1, *[1] * axes)

    return function


def unfold(case: Case) -> Callable[..., Any]:
    """PyTorch orders a window's elements by channel first: c kh kw, and here kh kw c."""
    found = conv_geometry(case)
    n, *_, c = case.shapes["x"]

    def function(x):
        pads = tuple(low for low, _ in found.padding)
        y = F.unfold(x, found.window, found.dilation, pads, found.stride)
        y = y.reshape(n, c, found.taps, *found.output)
        return y.transpose(1, 2).reshape(n, -1, *found.output)

    return function


def fold(case: Case) -> Callable[..., Any]:
    options, (n, *output, _) = case.settings, case.shapes["delta"]
    window = options["window"] if isinstance(options["window"], tuple) else (options["window"],) * 2
    named = {name: options[name] for name in ("stride", "padding", "dilation")}
    found = parse_geometry("", options["input_size"], window, **named)

    def function(delta):
        rows = delta.reshape(n, found.taps, -1, *output).transpose(1, 2)
        rows = rows.reshape(n, -1, int(np.prod(output)))
        pads = tuple(low for low, _ in found.padding)
        return F.fold(rows, found.input, found.window, found.dilation, pads, found.stride)

    return function


def pad(case: Case) -> Callable[..., Any]:
    axes, amounts = len(case.shapes["x"]) - 2, case.settings["padding"]
    pads = amounts if isinstance(amounts, tuple) else ((amounts, amounts),) * axes
    mode = case.settings["mode"]
    return lambda x: F.pad(x, flat(pads), mode="constant" if mode == "zeros" else mode)


PEERS = {
    "conv": Peer(convolutions(jc.conv, input_dilated=False), conv),
    "true_conv": Peer(convolutions(jc.true_conv, input_dilated=False), conv),
    "depthwise_conv": Peer(STRATEGIES["depthwise_conv"], conv),
    "conv_transpose": Peer(STRATEGIES["conv_transpose"], conv_transpose),
    "pad": Peer(STRATEGIES["pad"], pad),
    "patches": Peer(windows.patches(jc.patches, dimensions=2, symmetric=True), unfold),
    "fold": Peer(windows.patches(jc.fold, dimensions=2, symmetric=True), fold),
    "dense": Peer(
        STRATEGIES["dense"],
        lambda case: lambda x, weight, bias=None: F.linear(x, weight.T, bias),
        "plain",
    ),
    "embedding": Peer(
        STRATEGIES["embedding"], lambda case: lambda ids, table: F.embedding(ids, table)
    ),
}
