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
from jaxcnn.lowering.places import on_a_cpu, pad
from jaxcnn.lowering.pool import along_axis, on_the_map
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import by_batch
from jaxcnn.lowering.windows import combined, fill_remainder, sliced, tap
from jaxcnn.sizes import larger

# Up to so many taps along an axis are slices of the map, which XLA sums in one pass.
FEW_TAPS = 8

_summed = partial(combined, lax.add, 0.0)


@by_batch
def sum_pool(x: Array, geometry: Geometry) -> Array:
    """The sum of every window; padding counts as zero."""
    if geometry.whole:
        return widen(x).sum(range(1, x.ndim - 1), keepdims=True).astype(x.dtype)
    total = on_a_cpu(widen(x), cpu=_sums_by_axis, default=_sums, geometry=geometry)
    return total.astype(x.dtype)


def _sums(x: Array, *, geometry: Geometry) -> Array:
    return _summed(x, geometry.window, geometry.stride, geometry.dilation, geometry.padding)


def _sums_by_axis(x: Array, *, geometry: Geometry) -> Array:
    """One axis after the other: kh + kw additions instead of kh · kw."""
    for axis in range(geometry.axes):
        x = _sum_along(x, axis, geometry)
    return x


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


@by_batch
def sum_pool_input_grad(delta: Array, geometry: Geometry) -> Array:
    """full(dilate(δ), ones): every δ at each place of its window; where windows overlap, they add.

    The high padding runs up to the size of the input, as for a convolution: a remainder gets zeros.
    """
    if geometry.tiling:
        return fill_remainder(upsample(delta, geometry.window), geometry)
    spread = on_a_cpu(widen(delta), cpu=_spread_by_axis, default=_spread, geometry=geometry)
    return spread.astype(delta.dtype)


def _spread(delta: Array, *, geometry: Geometry) -> Array:
    padding = [
        (extent - 1 - low, h + low - p)
        for extent, (low, _), h, p in zip(
            geometry.extent, geometry.padding, geometry.input, geometry.dilated_output, strict=True
        )
    ]
    spread = pad(delta, padding, geometry.stride)
    return _summed(spread, geometry.window, (1,) * geometry.axes, geometry.dilation)


def _spread_by_axis(delta: Array, *, geometry: Geometry) -> Array:
    for axis in range(geometry.axes):
        delta = _spread_along(delta, axis, geometry)
    return delta


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
