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

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.hints import fast
from jaxcnn.lowering import plain
from jaxcnn.lowering.places import REGISTER
from jaxcnn.lowering.plain import Sliding
from jaxcnn.sizes import known

# XLA's own code needs more input channels than this, and outputs enough to fill a vector register.
XLA_NEEDS = 2
# Convolutions with no more channels than this, in and out, are not given to YNNPACK.
KEPT_BY_XLA = 16
# From this many channels in times channels out on, YNNPACK uses nearly all processors.
ALL_PROCESSORS = 2**14
# At most this share of the result may be computed and thrown away.
WASTED = 1 / 3


class Extension(NamedTuple):
    """Zeros at the end of one axis of space."""

    share: float
    """Of the outputs that they add, measured by those that are wanted."""
    surplus: int
    axis: int
    zeros: int


def pays(window: Sequence[int], c: int, d: int, sliding: Sliding) -> bool:
    """Whether a convolution would be YNNPACK's, merged with nothing, and slow there."""
    alone = sliding.backward_follows and not sliding.fast_convolutions and max(c, d) > KEPT_BY_XLA
    dense = sliding.groups == 1 and len(window) == 2 and set(sliding.input_dilation) == {1}
    slow = _bare(sliding) or (1 in sliding.stride and _on_one_thread(c, d))
    return alone and dense and c > XLA_NEEDS and slow


def pays_backwards(geometry: Geometry) -> bool:
    """Whether the kernel gradient may be such a convolution: with as much padding as there was."""
    return not fast(geometry.axes) and geometry.groups == 1 and _bare(geometry)


def correlate(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """y = x ⋆ k: n h w c, kh kw c d → n p q d."""
    found = (way for way in _ways(x, kernel, sliding) if way.share <= WASTED)
    if (way := next(found, None)) is None:
        return plain.correlate(x, kernel, sliding=sliding)
    padding = list(sliding.padding)
    padding[way.axis] = (padding[way.axis][0], padding[way.axis][1] + way.zeros)
    y = plain.correlate(x, kernel, sliding=replace(sliding, padding=tuple(padding)))
    space = way.axis + 1
    return lax.slice_in_dim(y, 0, y.shape[space] - way.surplus, axis=space)


def kernel_grad(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c d."""
    return plain.kernel_grad(x, delta, geometry=geometry, correlate=_where_it_pays)


def _where_it_pays(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    *window, c, d = kernel.shape
    form = correlate if known(c) and pays(window, c, d, sliding) else plain.correlate
    return form(x, kernel, sliding=sliding)


def _ways(x: Array, kernel: Array, sliding: Sliding) -> Iterator[Extension]:
    """The best extension to more outputs than inputs, where that helps; the best by one zero."""
    axes = range(kernel.ndim - 2)
    extent = [(kernel.shape[axis] - 1) * sliding.dilation[axis] + 1 for axis in axes]
    missing = [e - sum(padding) for e, padding in zip(extent, sliding.padding, strict=True)]

    def extension(axis: int, zeros: int) -> Extension:
        size, stride = x.shape[axis + 1], sliding.stride[axis]
        room = (size - 1) * sliding.input_dilation[axis] + 1 - missing[axis]
        outputs, more = (a // stride + 1 for a in (room, room + zeros))
        return Extension((more - outputs) / outputs, more - outputs, axis, zeros)

    own = [axis for axis in axes if sliding.stride[axis] == 1 and missing[axis] > 0]
    if own and _on_one_thread(*kernel.shape[-2:]):
        yield min(extension(axis, missing[axis]) for axis in own)
    if _bare(sliding):
        yield min(extension(axis, 1) for axis in axes)


def _bare(sliding: Sliding | Geometry) -> bool:
    """Whether nothing is padded, and nothing cropped."""
    return not any(low or high for low, high in sliding.padding)


def _on_one_thread(c: int, d: int) -> bool:
    """Whether there are so few channels that YNNPACK takes one processor where it needs all."""
    return d >= REGISTER and c * d < ALL_PROCESSORS
