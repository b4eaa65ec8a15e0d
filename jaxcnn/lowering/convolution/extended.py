"""Convolutions of maps with some zeros more at the end, whose outputs are cut off again.

By default XLA's CPU backend hands convolutions to YNNPACK, which spreads only large kernels over
the processors, and takes up to six times as long for maps without any padding as for maps with
some. It is not given convolutions with more outputs than inputs: those XLA computes itself, on all
processors. So zeros are added: for small kernels enough for one more output than inputs, else,
where nothing is padded, one.

Where XLA merges the convolution with a pooling behind it, YNNPACK is faster than any of this. So
this form is for gradients, and for results that are stored for a backward pass: with those XLA
merges nothing but what works element by element, as the cutting off does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from jax import Array, lax

from jaxcnn.lowering.convolution import plain
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.thresholds import (
    ALL_PROCESSORS,
    FILTERS_EXTENDED,
    KEPT_BY_XLA,
    WASTED,
    XLA_NEEDS,
)


class Extension(NamedTuple):
    """Zeros at the end of one axis of space."""

    share: float
    """Of the outputs that they add, measured by those that are wanted."""
    surplus: int
    axis: int
    zeros: int
    outputs: int
    """That are wanted along this axis."""


def slower(problem: Problem) -> str:
    """Why a convolution is not YNNPACK's, or merged with a pooling, or not slow there."""
    geometry = problem.geometry
    if problem.fast:
        return "XLA's own code computes it"
    if problem.groups > 1 or geometry.axes != 2 or set(geometry.input_dilation) != {1}:
        return "YNNPACK is not given it"
    if not problem.stored:
        return "it is merged with a pooling behind it"
    if max(problem.c, problem.d) <= KEPT_BY_XLA or problem.c <= XLA_NEEDS:
        return f"{problem.c} and {problem.d} channels are too few"
    if _bare(problem) or (1 in geometry.stride and _on_one_thread(problem)):
        return ""
    return "YNNPACK uses all processors"


def slower_backwards(problem: Problem) -> str:
    """Why the kernel gradient is no such convolution: with as much padding as there was."""
    if problem.fast or problem.groups > 1:
        return "XLA's own code computes it"
    return "" if _bare(problem) else "the map is padded"


def correlate(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """y = x ⋆ k: n h w c, kh kw c d → n p q d."""
    found = (way for way in _ways(problem) if WASTED * way.surplus <= way.outputs)
    if (way := next(found, None)) is None:
        return plain.correlate(x, kernel, problem=problem)
    padding = list(problem.geometry.padding)
    padding[way.axis] = (padding[way.axis][0], padding[way.axis][1] + way.zeros)
    wider = problem.geometry.changed(padding=tuple(padding))
    y = plain.correlate(x, kernel, problem=replace(problem, geometry=wider))
    return lax.slice_in_dim(y, 0, way.outputs, axis=way.axis + 1)


def kernel_grad(x: Array, delta: Array, *, problem: Problem) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c d."""
    turned = problem.of_kernel_grad
    other = turned.closed or (slower(turned) and not problem.asked)
    form = plain.correlate if other else correlate
    return plain.kernel_grad(x, delta, problem=problem, correlate=form)


def _ways(problem: Problem) -> Iterator[Extension]:
    """The best extension to more outputs than inputs, where that helps; the best by one zero."""
    geometry = problem.geometry
    axes = range(geometry.axes)
    pairs = zip(geometry.extent, geometry.padding, strict=True)
    missing = [e - sum(padding) for e, padding in pairs]

    def extension(axis: int, zeros: int) -> Extension:
        outputs, stride = geometry.output[axis], geometry.stride[axis]
        more = (geometry.dilated_input[axis] - missing[axis] + zeros) // stride + 1
        return Extension((more - outputs) / outputs, more - outputs, axis, zeros, outputs)

    own = [axis for axis in axes if geometry.stride[axis] == 1 and missing[axis] > 0]
    if own and _on_one_thread(problem):
        yield min(extension(axis, missing[axis]) for axis in own)
    if _bare(problem):
        yield min(extension(axis, 1) for axis in axes)


def _bare(problem: Problem) -> bool:
    """Whether nothing is padded, and nothing cropped."""
    return not any(low or high for low, high in problem.geometry.padding)


def _on_one_thread(problem: Problem) -> bool:
    """Whether there are so few channels that YNNPACK takes one processor where it needs all."""
    return problem.d > FILTERS_EXTENDED and problem.c * problem.d <= ALL_PROCESSORS
