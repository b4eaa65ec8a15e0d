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
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.convolution import plain
from jaxcnn.lowering.convolution.plain import Map
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.thresholds import FEW_PHASES, FILTERS_APART, MANY_FILTERS


class Phase(NamedTuple):
    """What outputs r, r + s, … read along one axis of the map, from `start` on."""

    taps: range
    """Of the whole kernel."""
    start: int
    dilation: int

    @property
    def end(self) -> int:
        """One more than the last element that the first output reads."""
        return self.start + (len(self.taps) - 1) * self.dilation + 1


def cannot(problem: Problem) -> str:
    """Why there are no zeros to leave out, or why not every place is wanted."""
    if max(problem.geometry.input_dilation) == 1:
        return "there are no zeros in the map"
    return "" if set(problem.geometry.stride) == {1} else "there is a stride"


def cannot_join(problem: Problem) -> str:
    """Why the phases cannot be channels of one convolution."""
    return cannot(problem) or ("there are groups" if problem.groups > 1 else "")


def slower_apart(problem: Problem) -> str:
    """Why a convolution for each phase is not the fastest."""
    if problem.groups > 1:
        return "there are groups"
    if not problem.fast:
        return "convolutions are slow with these compiler options"
    few = problem.d <= FILTERS_APART
    return f"{problem.d} filters are no more than {FILTERS_APART}" if few else many(problem)


def many(problem: Problem) -> str:
    """Why the phases are too many to be convolved one by one."""
    count = number(problem.geometry)
    return f"{count} phases are more than {FEW_PHASES}" if count > FEW_PHASES else ""


def slower_joined(problem: Problem) -> str:
    """Why one convolution of all phases takes more time than the products with zeros."""
    if problem.fast or problem.d <= MANY_FILTERS:
        return ""
    return f"{problem.d} filters hide the zeros where convolutions are slow"


def number(geometry: Geometry) -> int:
    """How many phases there are."""
    return math.prod(geometry.input_dilation)


def correlate(x: Array, kernel: Array, *, problem: Problem, alone: Map = plain.correlate) -> Array:
    """A convolution per phase, each by `alone`; the results are interleaved."""
    geometry = problem.geometry
    count = _count(geometry)
    parts = []
    for phase in itertools.product(*_phases(geometry)):
        if not all(axis.taps for axis in phase):
            shape = (x.shape[0], *count, problem.d)
            parts.append(jnp.broadcast_to(jnp.zeros((), x.dtype), shape))
            continue
        by_itself = _undilated(
            geometry,
            [(axis.start, axis.end) for axis in phase],
            window=tuple(len(axis.taps) for axis in phase),
            dilation=tuple(axis.dilation for axis in phase),
        )
        parts.append(alone(x, _own_taps(kernel, phase), problem=problem.left(by_itself)))
    return _interleaved(jnp.stack(parts, -2), geometry)


def correlate_joined(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """One convolution, with a kernel as wide as all phases reach and the phases as channels."""
    geometry = problem.geometry
    reach = _span(geometry)
    kernels = _joined(kernel, reach, geometry)
    window, none = kernels.shape[:-2], (1,) * geometry.axes
    joined = _undilated(geometry, reach, window=window, dilation=none)
    y = plain.correlate(x, kernels, problem=problem.left(joined, d=kernels.shape[-1]))
    parts = y.reshape(*y.shape[:-1], number(geometry), problem.d)
    return _interleaved(parts, geometry)


def _span(geometry: Geometry) -> list[tuple[int, int]]:
    """For every axis the elements of x that the phases of place 0 read: the first, the last + 1."""
    sizes = zip(geometry.extent, geometry.input_dilation, geometry.padding, strict=True)
    return [(-(low // s), (s - 2 - low + e) // s + 1) for e, s, (low, _) in sizes]


def _joined(kernel: Array, reach: Sequence[tuple[int, int]], geometry: Geometry) -> Array:
    """The kernels of all phases: kh kw c d → qh qw c (s s d).

    Phase r reads element q with tap u = q·s + low − r of the dilated kernel, if it has one. With
    zeros around it, the taps of an element are s neighbours, those of the last phase first.
    """
    axes, *_, c, d = len(reach), *kernel.shape
    strides, config, split = geometry.input_dilation, [], []
    for k, s, e, (low, _), (start, end) in zip(
        geometry.window, strides, geometry.dilation, geometry.padding, reach, strict=True
    ):
        before = s - 1 - low - start * s
        whole = (end - start) * s
        config.append((before, whole - before - (k - 1) * e - 1, e - 1))
        split += [end - start, s]
    filled = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*config, (0, 0, 0), (0, 0, 0)])
    order = [*range(0, 2 * axes, 2), 2 * axes, *range(1, 2 * axes, 2), 2 * axes + 1]
    phases = jnp.flip(filled.reshape(*split, c, d), range(1, 2 * axes, 2)).transpose(order)
    return phases.reshape(*split[::2], c, number(geometry) * d)


def _phases(geometry: Geometry) -> list[list[Phase]]:
    """For every axis, the phase of each residue r."""
    found = []
    for k, s, e, (low, _) in zip(
        geometry.window, geometry.input_dilation, geometry.dilation, geometry.padding, strict=True
    ):
        step = s // math.gcd(s, e)
        axis = []
        for r in range(s):
            first = next((t for t in range(step) if (r + t * e - low) % s == 0), k)
            taps = range(first, k, step)
            axis.append(Phase(taps, (r + first * e - low) // s, step * e // s))
        found.append(axis)
    return found


def _undilated(
    geometry: Geometry, reach: Sequence[tuple[int, int]], **settings: tuple[int, ...]
) -> Geometry:
    """The geometry over the map without its zeros, of which place 0 reads the elements `reach`."""
    sizes = zip(reach, _count(geometry), geometry.input, strict=True)
    padding = tuple((-start, m - 1 + end - h) for (start, end), m, h in sizes)
    none = (1,) * geometry.axes
    return geometry.changed(input_dilation=none, padding=padding, **settings)


def _own_taps(kernel: Array, phase: Sequence[Phase]) -> Array:
    return kernel[tuple(slice(p.taps.start, p.taps.stop, p.taps.step) for p in phase)]


def _count(geometry: Geometry) -> list[int]:
    """How many outputs each phase has; some of those may lie beyond the result."""
    sizes = zip(geometry.output, geometry.input_dilation, strict=True)
    return [-(-p // s) for p, s in sizes]


def _interleaved(parts: Array, geometry: Geometry) -> Array:
    """The phases side by side: n m… phases d → n p q d."""
    axes, count = geometry.axes, parts.shape[1:-2]
    split = parts.reshape(parts.shape[0], *count, *geometry.input_dilation, parts.shape[-1])
    order = [a for axis in range(axes) for a in (1 + axis, 1 + axes + axis)]
    split = split.transpose(0, *order, 2 * axes + 1)
    size = [m * s for m, s in zip(count, geometry.input_dilation, strict=True)]
    whole = split.reshape(parts.shape[0], *size, parts.shape[-1])
    return whole[(slice(None), *(slice(p) for p in geometry.output))]
