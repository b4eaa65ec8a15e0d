"""Convolutions of few channels as convolutions of several: neighbours in a row become channels.

With channels last, a row of w·c numbers is also a row of w/b places with b·c channels each. Then b
neighbouring outputs depend on their inputs through a banded (Toeplitz) matrix of taps, some of them
zeros: more products, but in fewer and larger pieces, which suit vector registers. The maps are only
reshaped:

    k'[…, u, (i c), (j d)] = k[…, u·b·s + i − j·s, c, d],  s the stride, 0 ≤ i < b·s, 0 ≤ j < b
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array

from jaxcnn.lowering.convolution import plain
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import pad
from jaxcnn.lowering.thresholds import (
    CHANNELS_BANDED,
    COPIED_ALONE,
    FEW_OF_BOTH,
    FEW_PAIRS,
    FEW_PAIRS_TOLD,
    FILTERS_BANDED,
    FILTERS_COPIED,
    LIBRARY_FAST,
    NARROW,
    NEIGHBOURS,
    NEIGHBOURS_OF_STRIDES,
)


def cannot(problem: Problem) -> str:
    """Why rows are not dense."""
    if problem.groups > 1:
        return "there are groups"
    dense = problem.geometry.dilation[-1] == problem.geometry.input_dilation[-1] == 1
    return "" if dense else "rows are dilated"


def slower(problem: Problem) -> str:
    """Why more products, side by side, take more time."""
    if problem.geometry.window[-1] <= NARROW:
        return "in so narrow a window zeros outweigh the taps"
    c, d = problem.c, problem.d
    if not problem.fast:  # the library is fast from one or two channels to many
        few = d <= FILTERS_BANDED or c > LIBRARY_FAST
        few = few and c * d <= FEW_PAIRS and c <= CHANNELS_BANDED
    else:  # such a convolution copies windows first, four channels or more at once
        few = c * d <= FEW_PAIRS_TOLD or max(c, d) <= FEW_OF_BOTH
        few = few or (c <= COPIED_ALONE and d <= FILTERS_COPIED)
    return "" if few else f"{c} and {d} channels fill vector registers"


def neighbours(c: int, d: int, stride: int) -> int:
    """How many outputs become channels. A stride has made channels of inputs already."""
    if stride > 1:
        return 2 if c * d <= NEIGHBOURS_OF_STRIDES else 1
    return 4 if min(c, d) <= NEIGHBOURS else 2


@dataclass(frozen=True)
class Band:
    """The sizes along the last axis of space, of places and of blocks of them."""

    size: int
    low: int
    taps: int
    stride: int
    output: int
    b: int

    @property
    def step(self) -> int:
        """How many inputs a block holds; a block of outputs moves on by as many."""
        return self.b * self.stride

    @property
    def blocks(self) -> int:
        """How many blocks of outputs there are."""
        return -(-self.output // self.b)

    @property
    def taps_of_blocks(self) -> int:
        """How many blocks of inputs a block of outputs reads."""
        return -(-(self.taps + self.step - self.stride) // self.step)

    def maps(self, x: Array) -> Array:
        """… h w c → … h blocks (step c): what the windows read, zeros included."""
        whole = (self.blocks + self.taps_of_blocks - 1) * self.step
        x = _pad_rows(x, self.low, whole - self.low - self.size)
        return x.reshape(*x.shape[:-2], whole // self.step, self.step * x.shape[-1])

    def unblocked(self, y: Array) -> Array:
        """… p blocks (b d) → … p q d."""
        rows = y.reshape(*y.shape[:-2], self.blocks * self.b, y.shape[-1] // self.b)
        return rows[..., : self.output, :]

    def kernel(self, kernel: Array) -> Array:
        """… kw c d → … blocks (step c) (b d): a shifted copy for each of b outputs."""
        *above, _, c, d = kernel.shape
        reach = self.taps_of_blocks * self.step
        copies = []
        for j in range(self.b):
            before = j * self.stride
            config = [(0, 0)] * len(above) + [(before, reach - self.taps - before), (0, 0), (0, 0)]
            copies.append(jnp.pad(kernel, config))
        shape = (*above, self.taps_of_blocks, self.step * c, self.b * d)
        return jnp.stack(copies, -2).reshape(shape)


def correlate(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """y = x ⋆ k: n h w c, kh kw c d → n p q d."""
    g = problem.geometry
    low, stride = g.padding[-1][0], g.stride[-1]
    b = neighbours(problem.c, problem.d, stride)
    band = Band(g.input[-1], low, g.window[-1], stride, g.output[-1], b)
    maps, kernel = band.maps(x), band.kernel(kernel)
    # Along the last axis neither stride nor padding is left.
    inside = g.changed(
        input=maps.shape[1:-1],
        window=kernel.shape[:-2],
        stride=(*g.stride[:-1], 1),
        padding=(*g.padding[:-1], (0, 0)),
    )
    left = replace(problem, geometry=inside, c=maps.shape[-1], d=kernel.shape[-1])
    return band.unblocked(plain.correlate(maps, kernel, problem=left))


def _pad_rows(x: Array, low: int, high: int) -> Array:
    return pad(x, [*[(0, 0)] * (x.ndim - 3), (low, high)])
