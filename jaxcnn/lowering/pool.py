"""Maps over pooling windows: maxima with their positions, sums, and the adjoints of both.

A window's taps are visited in row-major order as strided slices of the whole map, which XLA fuses
into one pass; for the gradient of a maximum this makes the difference to select-and-scatter.
"""

import itertools
import math
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.precision import accumulator, widen

_NONE = (0, 0, 0)  # an axis that is not padded


def max_pool(x: Array, geometry: Geometry) -> Array:
    """The maximum of every window, nothing else: what a pass without a gradient needs."""
    return lax.reduce_window(
        x,
        -jnp.inf,
        lax.max,
        window_dimensions=(1, *geometry.window, 1),
        window_strides=(1, *geometry.stride, 1),
        padding=((0, 0), *geometry.padding, (0, 0)),
        window_dilation=(1, *geometry.dilation, 1),
    )


def max_with_switches(x: Array, geometry: Geometry) -> tuple[Array, Array]:
    """The maximum of every window and the tap that holds it; the first one wins a tie.

    One axis after the other, the last one first: the first maximum of every row of the window, then
    the first row that holds the largest of them, which is the first in row-major order. That takes
    kh + kw comparisons instead of kh · kw.
    """
    dtype = switch_dtype(geometry)
    best, switches = x, jnp.zeros((), dtype)
    taps_below = 1
    for axis in reversed(range(geometry.axes)):
        best, switches = _max_along(best, switches, axis, geometry, taps_below)
        taps_below *= geometry.window[axis]
    return best, switches


def _max_along(
    x: Array, switches: Array, axis: int, geometry: Geometry, taps_below: int
) -> tuple[Array, Array]:
    """Slide along one axis: the first maximum, and its tap here besides those of later axes."""

    def at(tap: int) -> tuple[Array, Array, np.ndarray]:
        part = _tap(x, axis, tap, geometry, fill=-jnp.inf)
        below = switches if switches.ndim == 0 else _tap(switches, axis, tap, geometry, fill=0)
        number = below + jnp.array(tap * taps_below, switches.dtype)
        return part, number, _along(_valid(geometry, axis, tap), axis, geometry)

    best, number, seen = at(0)
    found = jnp.broadcast_to(number, best.shape)
    for tap in range(1, geometry.window[axis]):
        part, number, valid = at(tap)
        # A NaN is the maximum, as in JAX and PyTorch, and the first NaN stays. A padded position
        # is never chosen, even where everything else in the window is −∞ as well.
        better = (part > best) | (jnp.isnan(part) & ~jnp.isnan(best))
        if not (valid <= seen).all():
            better |= jnp.broadcast_to(valid & ~seen, better.shape)
            seen = seen | valid
        best = jnp.where(better, part, best)
        found = jnp.where(better, number, found)
    return best, found


def switch_dtype(geometry: Geometry) -> jnp.dtype:
    """The smallest unsigned dtype that can number the taps of a window."""
    for dtype in (jnp.uint8, jnp.uint16, jnp.uint32):
        if geometry.taps - 1 <= jnp.iinfo(dtype).max:
            return jnp.dtype(dtype)
    raise ValueError(f"max_pool: window must have fewer than 2^32 elements, got {geometry.window}")


def gather_at_switches(x: Array, switches: Array, geometry: Geometry) -> Array:
    """From every window the element that its switch names."""
    if geometry.tiling:
        blocks = _blocks(x, geometry)
        chosen = jnp.where(_chosen(switches, geometry), blocks, jnp.zeros_like(blocks))
        # One element per window is left, so the sum is exact in any dtype.
        return chosen.sum(range(2, 2 * geometry.axes + 1, 2), dtype=x.dtype)
    y = jnp.zeros(switches.shape, x.dtype)
    for number, tap in enumerate(_taps(geometry)):
        part = x
        for axis, t in enumerate(tap):
            part = _tap(part, axis, t, geometry, fill=0)
        y = jnp.where(switches == jnp.array(number, switches.dtype), part, y)
    return y


def scatter_at_switches(delta: Array, switches: Array, geometry: Geometry) -> Array:
    """M • upsample(δ): every δ at the place its switch names; overlaps add up.

    Windows that tile the map: M and upsample(δ) as the formula says, in one pass. Otherwise tap t
    of window i lies at i·s + t = (i + t // s)·s + t % s: so each of the s residues is a sum of
    shifted δ, of the size of δ and not of the map, and the residues are interleaved at the end.
    """
    if geometry.tiling:
        spread = jnp.expand_dims(delta, range(2, 2 * geometry.axes + 1, 2))
        mask = _chosen(switches, geometry)
        blocks = jnp.where(mask, jnp.broadcast_to(spread, mask.shape), jnp.zeros((), delta.dtype))
        return _fill_remainder(_unblock(blocks, geometry), geometry)
    return _scatter_overlapping(delta, switches, geometry)


def _scatter_overlapping(delta: Array, switches: Array, geometry: Geometry) -> Array:
    steps = geometry.stride
    residues: list[Array | int] = [0] * math.prod(steps)
    # How many windows' worth of residues cover the padded map, and the largest shift.
    count = [
        -(-(h + low) // s)
        for h, (low, _), s in zip(geometry.input, geometry.padding, steps, strict=True)
    ]
    shift = [(e - 1) // s for e, s in zip(geometry.extent, steps, strict=True)]
    pads = [(m, max(c - p, 0), 0) for m, c, p in zip(shift, count, geometry.output, strict=True)]
    wide = lax.pad(widen(delta), jnp.zeros((), accumulator(delta.dtype)), [_NONE, *pads, _NONE])
    names = lax.pad(switches, jnp.zeros((), switches.dtype), [_NONE, *pads, _NONE])
    for number, tap in enumerate(_taps(geometry)):
        offset = [t * d for t, d in zip(tap, geometry.dilation, strict=True)]
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


def sum_pool(x: Array, geometry: Geometry) -> Array:
    """The sum of every window; padding counts as zero."""
    total = lax.reduce_window(
        widen(x),
        0.0,
        lax.add,
        window_dimensions=(1, *geometry.window, 1),
        window_strides=(1, *geometry.stride, 1),
        padding=((0, 0), *geometry.padding, (0, 0)),
        window_dilation=(1, *geometry.dilation, 1),
    )
    return total.astype(x.dtype)


def sum_pool_input_grad(delta: Array, geometry: Geometry) -> Array:
    """full(dilate(δ), ones): every δ at each place of its window; where windows overlap, they add.

    The high padding runs up to the size of the input, as for a convolution: a remainder gets zeros.
    """
    if geometry.tiling:
        return _fill_remainder(upsample(delta, geometry.window), geometry)
    config = []
    for axis, (low, _) in enumerate(geometry.padding):
        before = geometry.extent[axis] - 1 - low
        after = geometry.input[axis] + low - geometry.dilated_output[axis]
        config.append((before, after, geometry.stride[axis] - 1))
    wide = widen(delta)
    spread = lax.reduce_window(
        lax.pad(wide, jnp.zeros((), wide.dtype), [(0, 0, 0), *config, (0, 0, 0)]),
        0.0,
        lax.add,
        window_dimensions=(1, *geometry.window, 1),
        window_strides=(1,) * delta.ndim,
        padding="VALID",
        window_dilation=(1, *geometry.dilation, 1),
    )
    return spread.astype(delta.dtype)


def window_counts(geometry: Geometry) -> np.ndarray:
    """How many elements of each window lie on the map and not in its padding: 1 p q 1."""
    counts = np.ones((1,) * (geometry.axes + 2), np.int64)
    for axis, k in enumerate(geometry.window):
        along = np.sum([_valid(geometry, axis, tap) for tap in range(k)], axis=0)
        counts = counts * _along(along, axis, geometry)
    return counts


def _taps(geometry: Geometry) -> Iterator[tuple[int, ...]]:
    """The places in a window, in row-major order."""
    return itertools.product(*(range(k) for k in geometry.window))


def _tap(x: Array, axis: int, tap: int, geometry: Geometry, *, fill: float) -> Array:
    """Along one spatial axis, the element at that tap of every window; `fill` in the padding."""
    low, high = geometry.padding[axis]
    pads: list[tuple[int, int, int]] = [_NONE] * x.ndim
    pads[axis + 1] = (low, high, 0)
    padded = lax.pad(x, jnp.array(fill, x.dtype), pads) if low or high else x
    start = tap * geometry.dilation[axis]
    stop = start + geometry.dilated_output[axis]
    return lax.slice_in_dim(padded, start, stop, geometry.stride[axis], axis + 1)


def _blocks(x: Array, geometry: Geometry) -> Array:
    """n h w c → n p kh q kw c, for windows that tile the map; the remainder is left out."""
    covered = [p * k for p, k in zip(geometry.output, geometry.window, strict=True)]
    x = x[(slice(None), *(slice(size) for size in covered))]
    split = [size for pair in zip(geometry.output, geometry.window, strict=True) for size in pair]
    return x.reshape(x.shape[0], *split, x.shape[-1])


def _unblock(blocks: Array, geometry: Geometry) -> Array:
    """n p kh q kw c → n h w c."""
    covered = [p * k for p, k in zip(geometry.output, geometry.window, strict=True)]
    return blocks.reshape(blocks.shape[0], *covered, blocks.shape[-1])


def _chosen(switches: Array, geometry: Geometry) -> Array:
    """M in blocks, n p kh q kw c: whether the element is the one that its window's switch names."""
    number = np.arange(geometry.taps).reshape(geometry.window)
    number = np.expand_dims(number, [0, *range(1, 2 * geometry.axes, 2), 2 * geometry.axes + 1])
    names = jnp.expand_dims(switches, range(2, 2 * geometry.axes + 1, 2))
    return names == jnp.asarray(number, switches.dtype)


def _valid(geometry: Geometry, axis: int, tap: int) -> np.ndarray:
    """For which outputs along the axis the tap lies on the map."""
    start = tap * geometry.dilation[axis] - geometry.padding[axis][0]
    position = start + geometry.stride[axis] * np.arange(geometry.output[axis])
    return (position >= 0) & (position < geometry.input[axis])


def _along(values: np.ndarray, axis: int, geometry: Geometry) -> np.ndarray:
    """Values per position of one spatial axis, shaped to broadcast against n p q c."""
    return np.expand_dims(values, [a for a in range(geometry.axes + 2) if a != axis + 1])


def _fill_remainder(x: Array, geometry: Geometry) -> Array:
    """Zeros for the rows and columns at the end that no window reached."""
    rest = [h - k for h, k in zip(geometry.input, x.shape[1:-1], strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((0, r, 0) for r in rest), (0, 0, 0)])


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
