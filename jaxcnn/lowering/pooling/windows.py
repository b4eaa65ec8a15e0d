"""The elements of every window, and the way back: moves of elements that the poolings are made of.

One axis after the other, so that a program grows with kh + kw and not with kh · kw.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import by_batch, whole_channels
from jaxcnn.sizes import arange, known, surely

UNPADDED = (0, 0, 0)  # no padding along this axis


def combined(
    combine: Callable[[Array, Array], Array],
    start: float,
    x: Array,
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[tuple[int, int]] | None = None,
) -> Array:
    """Every window over all axes of space combined, by XLA in one go; `start` in the padding."""
    padding = padding or ((0, 0),) * len(window)
    return lax.reduce_window(
        x,
        start,
        combine,
        window_dimensions=(1, *window, 1),
        window_strides=(1, *stride, 1),
        padding=((0, 0), *padding, (0, 0)),
        window_dilation=(1, *dilation, 1),
    )


def windows(x: Array, geometry: Geometry) -> Array:
    """n h w c → n p kh q kw c: every window's elements, zeros in the padding."""
    if geometry.tiling:
        return blocks(x, geometry)
    for axis in reversed(range(geometry.axes)):
        taps = [tap(x, axis, t, geometry, fill=0) for t in range(geometry.window[axis])]
        x = jnp.stack(taps, axis + 2)
    return x


@partial(by_batch, result=whole_channels)
def rows(x: Array, geometry: Geometry) -> Array:
    """n h w c → n p q (kh kw c): every window's elements in a row."""
    axes = geometry.axes
    elements = windows(x, geometry)
    # n p kh q kw c → n p q kh kw c
    order = (0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1)
    return elements.transpose(order).reshape(x.shape[0], *geometry.output, -1)


@partial(by_batch, result=whole_channels)
def fold_rows(delta: Array, geometry: Geometry) -> Array:
    """n p q (kh kw c) → n h w c: the transpose of `rows`."""
    axes = geometry.axes
    elements = delta.reshape(*delta.shape[:-1], *geometry.window, delta.shape[-1] // geometry.taps)
    # n p q kh kw c → n p kh q kw c
    pairs = [a for axis in range(axes) for a in (1 + axis, 1 + axes + axis)]
    return fold_windows(elements.transpose(0, *pairs, 2 * axes + 1), geometry)


def fold_windows(elements: Array, geometry: Geometry) -> Array:
    """n p kh q kw c → n h w c: every element to its place on the map; where windows overlap, they
    add up, and what lies in the padding is dropped.
    """
    if geometry.tiling:
        return fill_remainder(unblock(elements, geometry), geometry)
    total = widen(elements)
    for axis, (low, _) in enumerate(geometry.padding):
        parts = []
        for t in range(geometry.window[axis]):
            part = lax.index_in_dim(total, t, axis + 2, keepdims=False)
            before = t * geometry.dilation[axis] - low
            after = geometry.input[axis] - before - geometry.dilated_output[axis]
            config: list[tuple[int, int, int]] = [UNPADDED] * part.ndim
            config[axis + 1] = (before, after, geometry.stride[axis] - 1)
            parts.append(lax.pad(part, jnp.zeros((), part.dtype), config))
        total = sum(parts[1:], parts[0])
    return total.astype(elements.dtype)


def tap(x: Array, axis: int, number: int, geometry: Geometry, *, fill: float) -> Array:
    """Along one spatial axis, the element at that tap of every window; `fill` in the padding."""
    low, high = geometry.padding[axis]
    start, stride = number * geometry.dilation[axis], geometry.stride[axis]
    if stride > 1 and (low or high) and known(x.shape[axis + 1]):
        return _tap_on_the_map(x, axis, start - low, stride, geometry.output[axis], fill)
    end = start + (geometry.output[axis] - 1) * stride + 1
    size = x.shape[axis + 1] + low + high
    if not surely(lambda: start <= end and start <= size and end <= size):
        # Where a symbol may stand for a map without a window, the slice is of whole strides.
        high, end = high + geometry.extent[axis] + stride, start + stride * geometry.output[axis]
    return sliced(_filled(x, axis, low, high, fill), axis + 1, start, end, stride)


def _tap_on_the_map(x: Array, axis: int, start: int, stride: int, count: int, fill: float) -> Array:
    """What lies on the map, with `fill` put around it afterwards.

    A padded copy of the map would be several times as large. At stride 1 it is not, and padding it
    once is faster than putting `fill` around every tap.
    """
    last = min(max((x.shape[axis + 1] - 1 - start) // stride + 1, 0), count)
    first = min(max(-(start // stride), 0), last)
    begin, end = start + first * stride, start + (last - 1) * stride + 1
    if first == last:  # all of it is padding
        begin = end = 0
    part = lax.slice_in_dim(x, begin, end, stride, axis + 1)
    return _filled(part, axis, first, count - last, fill)


def sliced(x: Array, axis: int, start: int, stop: int, stride: int = 1) -> Array:
    """x from start to stop along an axis; `lax.slice_in_dim` takes no symbol as its limit."""
    first, last, steps = [0] * x.ndim, [*x.shape], [1] * x.ndim
    first[axis], last[axis], steps[axis] = start, stop, stride
    return lax.slice(x, first, last, steps)


def _filled(x: Array, axis: int, low: int, high: int, fill: float) -> Array:
    """x with elements put before and after it, or taken away, along one spatial axis."""
    if not (low or high):
        return x
    pads: list[tuple[int, int, int]] = [UNPADDED] * x.ndim
    pads[axis + 1] = (low, high, 0)
    return lax.pad(x, jnp.array(fill, x.dtype), pads)


def blocks(x: Array, geometry: Geometry) -> Array:
    """n h w c → n p kh q kw c, for windows that tile the map; the remainder is left out."""
    covered = [p * k for p, k in zip(geometry.output, geometry.window, strict=True)]
    x = x[(slice(None), *(slice(size) for size in covered))]
    split = [size for pair in zip(geometry.output, geometry.window, strict=True) for size in pair]
    return x.reshape(x.shape[0], *split, x.shape[-1])


def unblock(blocks: Array, geometry: Geometry) -> Array:
    """n p kh q kw c → n h w c."""
    covered = [p * k for p, k in zip(geometry.output, geometry.window, strict=True)]
    return blocks.reshape(blocks.shape[0], *covered, blocks.shape[-1])


def fill_remainder(x: Array, geometry: Geometry) -> Array:
    """Zeros for the rows and columns at the end that no window reached."""
    rest = [h - k for h, k in zip(geometry.input, x.shape[1:-1], strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((0, r, 0) for r in rest), (0, 0, 0)])


def on_the_map(
    geometry: Geometry, axis: int, tap: int, reach: tuple[int, int] = (0, 0)
) -> np.ndarray | Array:
    """For which outputs along the axis the tap lies on the map, or as far beyond its two ends."""
    start = tap * geometry.dilation[axis] - geometry.padding[axis][0]
    position = start + geometry.stride[axis] * arange(geometry.output[axis])
    return (position >= -reach[0]) & (position < geometry.input[axis] + reach[1])


def along_axis(values: Any, axis: int, geometry: Geometry) -> Any:
    """Values per position of one spatial axis, shaped to broadcast against n p q c."""
    return values.reshape([-1 if a == axis + 1 else 1 for a in range(geometry.axes + 2)])
