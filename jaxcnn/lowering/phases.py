"""Correlations of a map with zeros between its elements, without multiplying by the zeros.

The outputs fall into as many phases as there are combinations of residues modulo the dilation s;
each phase meets every s-th tap of the kernel only, and the undilated map:

    y[s·m + r] = Σ over taps t with t·e ≡ low − r (mod s) of x[m + (r − low + t·e) / s] k[t]

This is the input gradient of a strided convolution, and a transposed convolution. XLA's CPU backend
multiplies by the zeros, s² times the work. `correlate_joined` takes all phases as channels of one
convolution, with zeros in the kernels of those that have fewer taps: one large product rather than
several thin ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.lowering import plain
from jaxcnn.lowering.places import REGISTER
from jaxcnn.lowering.plain import Sliding

# A convolution for each phase pays if it has channels enough to fill the vector registers, and for
# few phases: the results of many, interleaved, are copied number by number.
FEW = 8
# Where convolutions are slow, XLA's products with zeros are the faster way from this many channels
# on, unless there are more phases than this: then hardly anything but zeros is left.
MANY_CHANNELS, ZEROS = 32, 16


class Phase(NamedTuple):
    """Along one axis, what outputs r, r + s, … read of the map: from `start` on."""

    taps: range
    """Of the whole kernel."""
    start: int
    dilation: int

    @property
    def end(self) -> int:
        """One more than the last element that the first output reads."""
        return self.start + (len(self.taps) - 1) * self.dilation + 1


def applies(sliding: Sliding) -> bool:
    """Whether there are zeros to be left out, and every place is wanted."""
    return max(sliding.input_dilation) > 1 and set(sliding.stride) == {1}


def pay_apart(channels: int, sliding: Sliding) -> bool:
    """Whether a convolution for each phase, with these output channels, is the fastest."""
    return sliding.fast_convolutions and channels >= REGISTER and number(sliding) <= FEW


def pay_joined(channels: int, sliding: Sliding) -> bool:
    """Whether one convolution of all phases takes less time than the products with zeros."""
    return sliding.fast_convolutions or channels < MANY_CHANNELS or number(sliding) > ZEROS


def number(sliding: Sliding) -> int:
    """How many phases there are."""
    return math.prod(sliding.input_dilation)


def correlate(
    x: Array,
    kernel: Array,
    *,
    sliding: Sliding,
    alone: Callable[..., Array] = plain.correlate,
) -> Array:
    """A convolution per phase, each by `alone`; the results are interleaved."""
    count = _count(x, kernel, sliding)
    parts = []
    for phase in itertools.product(*_phases(kernel, sliding)):
        if not all(axis.taps for axis in phase):
            shape = (x.shape[0], *count, kernel.shape[-1])
            parts.append(jnp.broadcast_to(jnp.zeros((), x.dtype), shape))
            continue
        by_itself = replace(
            _undilated(sliding),
            padding=tuple(
                (-axis.start, m - 1 + axis.end - h)
                for axis, m, h in zip(phase, count, x.shape[1:-1], strict=True)
            ),
            dilation=tuple(axis.dilation for axis in phase),
        )
        parts.append(alone(x, _own_taps(kernel, phase), sliding=by_itself))
    return _interleaved(jnp.stack(parts, -2), x, kernel, sliding)


def correlate_joined(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """One convolution, with a kernel as wide as all phases reach and the phases as channels."""
    count, reach = _count(x, kernel, sliding), _span(kernel, sliding)
    joined = replace(
        _undilated(sliding),
        padding=tuple(
            (-start, m - 1 + end - h)
            for (start, end), m, h in zip(reach, count, x.shape[1:-1], strict=True)
        ),
    )
    y = plain.correlate(x, _joined(kernel, reach, sliding), sliding=joined)
    parts = y.reshape(*y.shape[:-1], number(sliding), kernel.shape[-1])
    return _interleaved(parts, x, kernel, sliding)


def _span(kernel: Array, sliding: Sliding) -> list[tuple[int, int]]:
    """For every axis the elements of x that the phases of place 0 read: the first, the last + 1."""
    return [
        (-(low // s), (s - 1 - low + (k - 1) * e) // s + 1)
        for k, s, e, (low, _) in zip(
            kernel.shape[:-2], sliding.input_dilation, sliding.dilation, sliding.padding,
            strict=True,
        )
    ]  # fmt: skip


def _joined(kernel: Array, reach: Sequence[tuple[int, int]], sliding: Sliding) -> Array:
    """The kernels of all phases: kh kw c d → qh qw c (s s d).

    Phase r reads element q with tap u = q·s + low − r of the dilated kernel, if it has one. With
    zeros around it, the taps of an element are s neighbours, those of the last phase first.
    """
    axes, *_, c, d = len(reach), *kernel.shape
    strides, config, split = sliding.input_dilation, [], []
    for k, s, e, (low, _), (start, end) in zip(
        kernel.shape[:-2], strides, sliding.dilation, sliding.padding, reach, strict=True
    ):
        before = s - 1 - low - start * s
        whole = (end - start) * s
        config.append((before, whole - before - (k - 1) * e - 1, e - 1))
        split += [end - start, s]
    filled = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*config, (0, 0, 0), (0, 0, 0)])
    order = [*range(0, 2 * axes, 2), 2 * axes, *range(1, 2 * axes, 2), 2 * axes + 1]
    phases = jnp.flip(filled.reshape(*split, c, d), range(1, 2 * axes, 2)).transpose(order)
    return phases.reshape(*split[::2], c, number(sliding) * d)


def _phases(kernel: Array, sliding: Sliding) -> list[list[Phase]]:
    """For every axis, the phase of each residue r."""
    found = []
    for k, s, e, (low, _) in zip(
        kernel.shape[:-2], sliding.input_dilation, sliding.dilation, sliding.padding, strict=True
    ):
        step = s // math.gcd(s, e)
        axis = []
        for r in range(s):
            first = next((t for t in range(step) if (r + t * e - low) % s == 0), k)
            taps = range(first, k, step)
            axis.append(Phase(taps, (r + first * e - low) // s, step * e // s))
        found.append(axis)
    return found


def _undilated(sliding: Sliding) -> Sliding:
    ones = (1,) * len(sliding.stride)
    return replace(sliding, input_dilation=ones, dilation=ones)


def _own_taps(kernel: Array, phase: Sequence[Phase]) -> Array:
    return kernel[tuple(slice(p.taps.start, p.taps.stop, p.taps.step) for p in phase)]


def _sizes(x: Array, kernel: Array, sliding: Sliding) -> list[int]:
    """The size of the result along each axis of space."""
    return [
        (h - 1) * s + 1 + low + high - (k - 1) * e
        for h, k, s, e, (low, high) in zip(
            x.shape[1:-1], kernel.shape[:-2], sliding.input_dilation, sliding.dilation,
            sliding.padding, strict=True,
        )
    ]  # fmt: skip


def _count(x: Array, kernel: Array, sliding: Sliding) -> list[int]:
    """How many outputs each phase has; the last one perhaps more than are wanted."""
    sizes = _sizes(x, kernel, sliding)
    return [-(-p // s) for p, s in zip(sizes, sliding.input_dilation, strict=True)]


def _interleaved(parts: Array, x: Array, kernel: Array, sliding: Sliding) -> Array:
    """N m… phases d → n p q d."""
    axes, count = len(sliding.stride), parts.shape[1:-2]
    split = parts.reshape(parts.shape[0], *count, *sliding.input_dilation, parts.shape[-1])
    order = [a for axis in range(axes) for a in (1 + axis, 1 + axes + axis)]
    split = split.transpose(0, *order, 2 * axes + 1)
    size = [m * s for m, s in zip(count, sliding.input_dilation, strict=True)]
    whole = split.reshape(parts.shape[0], *size, parts.shape[-1])
    return whole[(slice(None), *(slice(p) for p in _sizes(x, kernel, sliding)))]
