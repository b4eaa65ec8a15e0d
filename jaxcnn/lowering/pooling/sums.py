"""Sums over pooling windows, and the map that spreads a gradient over them.

XLA sums a window in one go, and spreads as it sums, over a map with zeros between its elements. A
CPU takes one axis of space after the other, and no zeros: up to 20 times faster where windows
overlap. Elsewhere that was not measured, and it is left to XLA.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.places import pad
from jaxcnn.lowering.pooling.windows import (
    along_axis,
    combined,
    fill_remainder,
    on_the_map,
    sliced,
    tap,
)
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.problem import Problem
from jaxcnn.lowering.sharding import by_batch
from jaxcnn.lowering.thresholds import FEW_TAPS
from jaxcnn.sizes import larger

_summed = partial(combined, lax.add, 0.0)


def of_the_whole(x: Array, *, problem: Problem) -> Array:
    """One reduction."""
    del problem
    return widen(x).sum(range(1, x.ndim - 1), keepdims=True).astype(x.dtype)


def by_axis(x: Array, *, problem: Problem) -> Array:
    """One axis after the other: kh + kw additions instead of kh · kw."""
    total = widen(x)
    for axis in range(problem.geometry.axes):
        total = _sum_along(total, axis, problem.geometry)
    return total.astype(x.dtype)


def plain(x: Array, *, problem: Problem) -> Array:
    """XLA's reduction of windows."""
    g = problem.geometry
    return _summed(widen(x), g.window, g.stride, g.dilation, g.padding).astype(x.dtype)


def _sum_along(x: Array, axis: int, geometry: Geometry) -> Array:
    if geometry.stride[axis] > 1 and geometry.window[axis] <= FEW_TAPS:
        parts = [tap(x, axis, t, geometry, fill=0) for t in range(geometry.window[axis])]
        return sum(parts[1:], parts[0])
    return _window_sums(x, axis, geometry.padding[axis], geometry.stride[axis], geometry)


def _window_sums(
    x: Array, axis: int, padding: tuple[int, int], stride: int, geometry: Geometry
) -> Array:
    def along(value: Any, other: Any) -> list[Any]:
        return [value if place == axis else other for place in range(geometry.axes)]

    window, dilation = geometry.window[axis], geometry.dilation[axis]
    x = pad(x, along(padding, (0, 0)))  # which may crop
    return _summed(x, along(window, 1), along(stride, 1), along(dilation, 1))


def spread_over_blocks(delta: Array, *, problem: Problem) -> Array:
    """Replication, where windows tile the map; zeros for the remainder."""
    geometry = problem.geometry
    return fill_remainder(upsample(delta, geometry.window), geometry)


def spread(delta: Array, *, problem: Problem) -> Array:
    """full(dilate(δ), ones), by XLA's reduction of windows.

    The high padding runs up to the size of the input, as for a convolution: a remainder gets zeros.
    """
    g = problem.geometry
    wide = pad(widen(delta), g.transposed.padding, g.stride)
    return _summed(wide, g.window, (1,) * g.axes, g.dilation).astype(delta.dtype)


def spread_by_axis(delta: Array, *, problem: Problem) -> Array:
    """One axis after the other."""
    total = widen(delta)
    for axis in range(problem.geometry.axes):
        total = _spread_along(total, axis, problem.geometry)
    return total.astype(delta.dtype)


def _spread_along(x: Array, axis: int, geometry: Geometry) -> Array:
    """Each element at the places of its window along one axis, overlaps adding up.

    As for switches, tap t of window i lies at (i + t // s)·s + t % s, so each of the s
    residues is a sum of shifted x, and the residues are interleaved. XLA's CPU backend sums windows
    of a map with zeros between its elements ten times slower.
    """
    s, low, place = geometry.stride[axis], geometry.padding[axis][0], axis + 1
    if s == 1:
        after = geometry.input[axis] + low - geometry.output[axis]
        return _window_sums(x, axis, (geometry.extent[axis] - 1 - low, after), 1, geometry)
    taps = [t * geometry.dilation[axis] for t in range(geometry.window[axis])]
    count = -(-(geometry.input[axis] + low) // s)
    shift = taps[-1] // s
    padding = [(0, 0)] * geometry.axes
    padding[axis] = (shift, larger(count - geometry.output[axis], 0))
    wide = pad(x, padding)
    residues = []
    for r in range(s):
        starts = [shift - o // s for o in taps if o % s == r]
        parts = [sliced(wide, place, b, b + count) for b in starts]
        residues.append(sum(parts[1:], parts[0]) if parts else jnp.zeros_like(residues[0]))
    merged = jnp.stack(residues, place + 1)
    merged = merged.reshape(*x.shape[:place], count * s, *x.shape[place + 1 :])
    return sliced(merged, place, low, low + geometry.input[axis])


def window_counts(geometry: Geometry, count_padding: bool) -> np.ndarray | Array:
    """How many elements of each window lie on the map, or in its padding too: 1 p q 1.

    What overhangs the padded map does not count in either case, as in PyTorch.
    """
    counts: Any = np.ones((1,) * (geometry.axes + 2), int)
    for axis, k in enumerate(geometry.window):
        reach = geometry.counted_padding[axis] if count_padding else (0, 0)
        reached = sum(on_the_map(geometry, axis, t, reach).astype(int) for t in range(k))
        counts = counts * along_axis(reached, axis, geometry)
    return counts


@by_batch
def upsample(x: Array, size: tuple[int, ...]) -> Array:
    """Every element replicated over a window of the given size."""
    n, c = x.shape[0], x.shape[-1]
    maps = x.shape[1:-1]
    spread = []
    for h in maps:
        spread += [h, 1]
    target = []
    for h, k in zip(maps, size, strict=True):
        target += [h, k]
    replicated = jnp.broadcast_to(x.reshape(n, *spread, c), (n, *target, c))
    return replicated.reshape(n, *(h * k for h, k in zip(maps, size, strict=True)), c)
