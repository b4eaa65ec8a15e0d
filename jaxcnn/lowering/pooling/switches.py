"""What switches name, place by place of a window: the elements there, and elements put there.

A tap is a strided slice of the whole map, and XLA fuses the comparisons of slices into one pass:
for the gradient of a maximum that makes the difference to select-and-scatter.
"""

import itertools
import math
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.pooling.windows import UNPADDED, blocks, fill_remainder, tap, unblock
from jaxcnn.lowering.precision import accumulator, widen
from jaxcnn.lowering.problem import Problem
from jaxcnn.lowering.thresholds import VECTOR_LOOP
from jaxcnn.sizes import arange, known, larger


def cannot_tile(problem: Problem) -> str:
    """Why the windows are no blocks of the map."""
    return "" if problem.geometry.tiling else "the windows do not tile the map"


def gather_from_blocks(x: Array, switches: Array, *, problem: Problem) -> Array:
    """In one pass over the map, and no step per tap in the program."""
    geometry = problem.geometry
    elements = blocks(x, geometry)
    chosen = jnp.where(_chosen(switches, geometry), elements, jnp.zeros_like(elements))
    # One element per window is left, so the sum is exact in any dtype.
    return chosen.sum(range(2, 2 * geometry.axes + 1, 2), dtype=x.dtype)


def gather(x: Array, switches: Array, *, problem: Problem) -> Array:
    """Tap by tap: each window keeps the one that its switch names."""
    geometry = problem.geometry
    y = jnp.zeros(switches.shape, x.dtype)
    for number, place in enumerate(_taps(geometry)):
        part = x
        for axis, t in enumerate(place):
            part = tap(part, axis, t, geometry, fill=0)
        y = jnp.where(switches == jnp.array(number, switches.dtype), part, y)
    return y


def scatter_to_blocks(delta: Array, switches: Array, *, problem: Problem) -> Array:
    """M and upsample(δ) as the formula says, in one pass."""
    geometry = problem.geometry
    spread = jnp.expand_dims(delta, range(2, 2 * geometry.axes + 1, 2))
    mask = _chosen(_computed_once(switches, geometry), geometry)
    shares = jnp.where(mask, jnp.broadcast_to(spread, mask.shape), jnp.zeros((), delta.dtype))
    return fill_remainder(unblock(shares, geometry), geometry)


def _computed_once(switches: Array, geometry: Geometry) -> Array:
    """The switches, after the remainder of a division that does not change them.

    XLA's CPU backend would otherwise compute them anew for each place of a window, in the loop that
    spreads δ; an integer division it holds to be too expensive for that. With few channels, where
    its loops are no vector loops, a pooling and its gradient take half the time.
    """
    channels = switches.shape[-1]
    if not known(channels, geometry.taps) or channels > VECTOR_LOOP:
        return switches
    if geometry.taps >= jnp.iinfo(switches.dtype).max:
        return switches
    return switches % jnp.array(geometry.taps + 1, switches.dtype)


def scatter(delta: Array, switches: Array, *, problem: Problem) -> Array:
    """Tap t of window i lies at i·s + t = (i + t // s)·s + t % s: so each of the s residues is a
    sum of shifted δ, of the size of δ and not of the map; they are interleaved at the end.
    """
    geometry = problem.geometry
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
