"""Convolutions of few channels as convolutions of several: neighbours in a row become channels.

Channels last, a row of w·c numbers is as well one of w/b places with b·c channels each. Taken so, b
neighbouring outputs depend on their inputs by a banded matrix of taps (Toeplitz), some of whose
elements are zeros: more products, but in fewer and larger pieces, which vector registers like. The
maps are only reshaped:

    k'[…, u, (i c), (j d)] = k[…, u·b·s + i − j·s, c, d],  s the stride, 0 ≤ i < b·s, 0 ≤ j < b
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array

from jaxcnn.lowering import plain
from jaxcnn.lowering.places import REGISTER, pad
from jaxcnn.lowering.plain import Sliding

# With more, the products with zeros take as long as the copies that they save.
MANY_FILTERS = 64


def pays(window: Sequence[int], c: int, d: int, sliding: Sliding) -> bool:
    """Whether channels are so few that more products, side by side, take less time."""
    if not sliding.fast_convolutions:  # the library is fast from one or two channels to many
        few = c * d <= 64 and c <= REGISTER and (d <= REGISTER or c > 2)
    else:  # such a convolution copies windows first, four channels or more at once
        few = c * d <= 128 or max(c, d) < REGISTER or (c <= 4 and d <= MANY_FILTERS)
    return few and _applies(window, sliding)


def neighbours(c: int, d: int, stride: int) -> int:
    """How many outputs become channels. A stride has made channels of inputs already."""
    if stride > 1:
        return 2 if c * d <= 96 else 1
    return 4 if min(c, d) <= 2 else 2


def _applies(window: Sequence[int], sliding: Sliding) -> bool:
    """Whether rows are dense, and windows wide enough for the zeros not to outweigh the taps."""
    dense = sliding.dilation[-1] == sliding.input_dilation[-1] == 1
    return sliding.groups == 1 and dense and window[-1] >= 3


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
        """How many inputs a block of outputs moves on, and a block of inputs holds."""
        return self.b * self.stride

    @property
    def blocks(self) -> int:
        """Of outputs."""
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


def correlate(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """y = x ⋆ k: n h w c, kh kw c d → n p q d."""
    (low, high), apart, taps = sliding.padding[-1], sliding.stride[-1], kernel.shape[-3]
    output = (x.shape[-2] + low + high - taps) // apart + 1
    b = neighbours(kernel.shape[-2], kernel.shape[-1], apart)
    band = Band(x.shape[-2], low, taps, apart, output, b)
    # Along the last axis neither stride nor padding is left.
    stride, padding = (*sliding.stride[:-1], 1), (*sliding.padding[:-1], (0, 0))
    inside = replace(sliding, stride=stride, padding=padding)
    return band.unblocked(plain.correlate(band.maps(x), band.kernel(kernel), sliding=inside))


def _pad_rows(x: Array, low: int, high: int) -> Array:
    return pad(x, [*[(0, 0)] * (x.ndim - 3), (low, high)])
