"""Maps over pooling windows: maxima with their positions, and the adjoints.

A tap is a strided slice of the whole map, and XLA fuses the comparisons of slices into one pass:
for the gradient of a maximum that makes the difference to select-and-scatter. Maxima are found one
axis after the other; what switches name is looked up tap by tap, in row-major order.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn import hints
from jaxcnn.geometry import Geometry
from jaxcnn.lowering.places import on_a_cpu
from jaxcnn.lowering.precision import accumulator, widen
from jaxcnn.lowering.sharding import by_batch
from jaxcnn.lowering.windows import UNPADDED, blocks, combined, fill_remainder, tap, unblock
from jaxcnn.sizes import arange, known, larger

# With fewer channels XLA's loops over them are no vector loops.
VECTOR_LOOP = 8

# Where convolutions are slow, windows of no more elements than this are left to XLA's reduction.
SMALL_WINDOW = 9


@by_batch
def max_pool(x: Array, geometry: Geometry) -> Array:
    """The maximum of every window, nothing else: what a pass without a gradient needs."""
    if geometry.whole:
        return x.max(range(1, x.ndim - 1), keepdims=True)
    if hints.fast_convolutions.value or geometry.axes == 1 or geometry.taps > SMALL_WINDOW:
        return on_a_cpu(x, cpu=_max_by_axis, default=_max, geometry=geometry)
    return _max(x, geometry)


def _max_by_axis(x: Array, geometry: Geometry) -> Array:
    """One axis after the other, each tap a slice: kh + kw comparisons, in loops over channels.

    XLA's own loop compares kh · kw elements, one at a time: it takes up to five times as long for
    3 × 3, and ten to sixty times for windows of 9 × 9 and more. But where convolutions are slow,
    which they are by default, XLA makes a convolution and the small reduction behind it one piece,
    and that is worth more: a network's forward pass takes 1.7 times as long without.
    """
    for axis in reversed(range(geometry.axes)):
        taps = (tap(x, axis, t, geometry, fill=-jnp.inf) for t in range(geometry.window[axis]))
        x = functools.reduce(lax.max, taps)
    return x


def _max(x: Array, geometry: Geometry) -> Array:
    sliding = geometry.window, geometry.stride, geometry.dilation, geometry.padding
    return combined(lax.max, -jnp.inf, x, *sliding)


# As one program even where it is called eagerly, so that a search for infinities does not find the
# −∞ of its padding.
@by_batch
@partial(jax.jit, static_argnames=("geometry",))
def max_with_switches(x: Array, geometry: Geometry) -> tuple[Array, Array]:
    """The maximum of every window and the tap that holds it; the first one wins a tie.

    One axis after the other, the last one first: the first maximum of every row of the window, then
    the first row that holds the largest of them, which is the first in row-major order. That takes
    kh + kw comparisons instead of kh · kw.
    """
    dtype = switch_dtype(geometry)
    if geometry.whole:
        return _max_of_the_whole(x, dtype)
    best, switches = x, jnp.zeros((), dtype)
    taps_below = 1
    for axis in reversed(range(geometry.axes)):
        best, switches = _max_along(best, switches, axis, geometry, taps_below)
        taps_below *= geometry.window[axis]
    return best, switches


def _max_of_the_whole(x: Array, dtype: jnp.dtype) -> tuple[Array, Array]:
    """One window as large as the map: two reductions, and no step per tap in the program.

    The maximum, then the first place that holds it. Measured on a CPU against XLA's argmax, which
    reduces pairs: half its time on maps of 7 × 7 or 2,000, up to twice its time on 56 × 56.
    """
    axes = range(1, x.ndim - 1)
    best = x.max(axes, keepdims=True)
    held = (x == best) | jnp.isnan(x)
    taps = math.prod(x.shape[1:-1])
    number = arange(taps).astype(np.uint32).reshape(1, *x.shape[1:-1], 1)
    first = jnp.where(held, number, jnp.full(held.shape, taps, jnp.uint32)).min(axes, keepdims=True)
    return best, first.astype(dtype)


def _max_along(
    x: Array, switches: Array, axis: int, geometry: Geometry, taps_below: int
) -> tuple[Array, Array]:
    """Slide along one axis: the first maximum, and its tap here besides those of later axes."""

    def at(t: int) -> tuple[Array, Array, np.ndarray | Array]:
        part = tap(x, axis, t, geometry, fill=-jnp.inf)
        below = switches if switches.ndim == 0 else tap(switches, axis, t, geometry, fill=0)
        number = below + jnp.array(t * taps_below, switches.dtype)
        return part, number, along_axis(on_the_map(geometry, axis, t), axis, geometry)

    best, number, seen = at(0)
    found = jnp.broadcast_to(number, best.shape)
    for t in range(1, geometry.window[axis]):
        part, number, valid = at(t)
        # A NaN is the maximum, as in JAX and PyTorch, and the first NaN stays. A padded position
        # is never chosen, even where everything else in the window is −∞ as well.
        better = (part > best) | (jnp.isnan(part) & ~jnp.isnan(best))
        if not (isinstance(valid, np.ndarray) and (valid <= seen).all()):
            better |= jnp.broadcast_to(valid & ~seen, better.shape)
            seen = seen | valid
        best = jnp.where(better, part, best)
        found = jnp.where(better, number, found)
    return best, found


def switch_dtype(geometry: Geometry) -> jnp.dtype:
    """The smallest unsigned dtype that can number the taps of a window."""
    if not known(geometry.taps):
        return jnp.dtype(jnp.uint32)
    for dtype in (jnp.uint8, jnp.uint16, jnp.uint32):
        if geometry.taps - 1 <= jnp.iinfo(dtype).max:
            return jnp.dtype(dtype)
    raise ValueError(f"max_pool: window must have fewer than 2^32 elements, got {geometry.window}")


@by_batch
def gather_at_switches(x: Array, switches: Array, geometry: Geometry) -> Array:
    """From every window the element that its switch names."""
    if geometry.tiling:
        elements = blocks(x, geometry)
        chosen = jnp.where(_chosen(switches, geometry), elements, jnp.zeros_like(elements))
        # One element per window is left, so the sum is exact in any dtype.
        return chosen.sum(range(2, 2 * geometry.axes + 1, 2), dtype=x.dtype)
    y = jnp.zeros(switches.shape, x.dtype)
    for number, place in enumerate(_taps(geometry)):
        part = x
        for axis, t in enumerate(place):
            part = tap(part, axis, t, geometry, fill=0)
        y = jnp.where(switches == jnp.array(number, switches.dtype), part, y)
    return y


@by_batch
def scatter_at_switches(delta: Array, switches: Array, geometry: Geometry) -> Array:
    """M • upsample(δ): every δ at the place its switch names; overlaps add up.

    Windows that tile the map: M and upsample(δ) as the formula says, in one pass. Otherwise tap t
    of window i lies at i·s + t = (i + t // s)·s + t % s: so each of the s residues is a sum of
    shifted δ, of the size of δ and not of the map, and the residues are interleaved at the end.
    """
    if geometry.tiling:
        spread = jnp.expand_dims(delta, range(2, 2 * geometry.axes + 1, 2))
        mask = _chosen(_computed_once(switches, geometry), geometry)
        shares = jnp.where(mask, jnp.broadcast_to(spread, mask.shape), jnp.zeros((), delta.dtype))
        return fill_remainder(unblock(shares, geometry), geometry)
    return _scatter_overlapping(delta, switches, geometry)


def _computed_once(switches: Array, geometry: Geometry) -> Array:
    """The switches, with a remainder of a division that changes nothing.

    XLA's CPU backend would otherwise compute them anew for each place of a window, in the loop that
    spreads δ; an integer division it thinks too expensive for that. With few channels, where its
    loops are no vector loops, a pooling and its gradient take half the time.
    """
    channels = switches.shape[-1]
    if not known(channels, geometry.taps) or channels >= VECTOR_LOOP:
        return switches
    if geometry.taps >= jnp.iinfo(switches.dtype).max:
        return switches
    return switches % jnp.array(geometry.taps + 1, switches.dtype)


def _scatter_overlapping(delta: Array, switches: Array, geometry: Geometry) -> Array:
    steps = geometry.stride
    residues: list[Array | int] = [0] * math.prod(steps)
    # How many windows' worth of residues cover the padded map, and the largest shift.
    count = [
        -(-(h + low) // s)
        for h, (low, _), s in zip(geometry.input, geometry.padding, steps, strict=True)
    ]
    shift = [(e - 1) // s for e, s in zip(geometry.extent, steps, strict=True)]
    pads = [(m, larger(c - p, 0), 0) for m, c, p in zip(shift, count, geometry.output, strict=True)]
    wide = lax.pad(
        widen(delta), jnp.zeros((), accumulator(delta.dtype)), [UNPADDED, *pads, UNPADDED]
    )
    names = lax.pad(switches, jnp.zeros((), switches.dtype), [UNPADDED, *pads, UNPADDED])
    for number, place in enumerate(_taps(geometry)):
        offset = [t * d for t, d in zip(place, geometry.dilation, strict=True)]
        start = [m - o // s for m, o, s in zip(shift, offset, steps, strict=True)]
        at = (slice(None), *(slice(b, b + c) for b, c in zip(start, count, strict=True)))
        chosen = names[at] == jnp.array(number, switches.dtype)
        residue = np.ravel_multi_index([o % s for o, s in zip(offset, steps, strict=True)], steps)
        residues[residue] += jnp.where(chosen, wide[at], jnp.zeros((), wide.dtype))
    shape = (delta.shape[0], *count, delta.shape[-1])
    parts = [r if isinstance(r, Array) else jnp.zeros(shape, wide.dtype) for r in residues]
    stacked = jnp.stack(parts).reshape(*steps, *shape)
    axes = geometry.axes
    # s t n p q c → n p s q t c
    order = [axes, *(a for axis in range(axes) for a in (axes + 1 + axis, axis)), 2 * axes + 1]
    merged = stacked.transpose(order).reshape(
        shape[0], *(c * s for c, s in zip(count, steps, strict=True)), shape[-1]
    )
    low = [pad for pad, _ in geometry.padding]
    at = (slice(None), *(slice(b, b + h) for b, h in zip(low, geometry.input, strict=True)))
    return merged[at].astype(delta.dtype)


def _taps(geometry: Geometry) -> Iterator[tuple[int, ...]]:
    """The places in a window, in row-major order."""
    return itertools.product(*(range(k) for k in geometry.window))


def _chosen(switches: Array, geometry: Geometry) -> Array:
    """M in blocks, n p kh q kw c: whether the element is the one that its window's switch names."""
    shape = [size for k in geometry.window for size in (1, k)]
    number = arange(geometry.taps).reshape(1, *shape, 1)
    names = jnp.expand_dims(switches, range(2, 2 * geometry.axes + 1, 2))
    return names == jnp.asarray(number, switches.dtype)


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
