"""Convolutions with one filter per channel, written out: a product and a sum per tap.

XLA's CPU backend runs them as a convolution in c groups, tens of times slower than this sum, which
it fuses into one pass over the maps with the channels side by side in vector registers. Nothing
here mixes channels or, but for the kernel gradient, examples; so sharded maps stay where they are.
"""

import itertools
import math
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.places import every, pad, sum_over_parts, together
from jaxcnn.lowering.plain import Sliding
from jaxcnn.lowering.precision import widen

# Beyond so many products per element the program would be long, and a convolution loses less.
MAX_TAPS = 128
# With several filters per channel, fewer groups than this leave the vector registers half empty.
SIDE_BY_SIDE = 8
# The kernel gradient adds so many rows element by element before it sums over what is left; fewer
# where there are more taps, or the program would be long.
ROWS, PRODUCTS = 16, 200
# Bytes of both maps at a time. Less than that, and the loop costs more than the cache saves.
BYTES = 4 * 2**20


def pays(taps: int, inputs: int, outputs: int, groups: int) -> bool:
    """Whether groups of so many channels in and out are few products per element, side by side."""
    short = taps * inputs * outputs <= MAX_TAPS
    return short and groups > 1 and (groups >= SIDE_BY_SIDE or inputs * outputs == 1)


def correlate(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """y = Σ over taps of shifted x • k: n h w c, kh kw 1 c → n p q c.

    Of several channels per group, all the first ones are taken together, all the second ones, ….
    """
    *window, inputs, d = kernel.shape
    several, stride = d // sliding.groups, sliding.stride
    wide, factors = pad(widen(x), sliding.padding, sliding.input_dilation), widen(kernel)
    extent = [(k - 1) * e + 1 for k, e in zip(window, sliding.dilation, strict=True)]
    count = [(h - e) // s + 1 for h, e, s in zip(wide.shape[1:-1], extent, stride, strict=True)]
    totals: list[Any] = [0] * several
    for i in range(inputs):
        maps = wide[..., i::inputs]
        for place in itertools.product(*(range(k) for k in window)):
            start = [t * e for t, e in zip(place, sliding.dilation, strict=True)]
            part = every(maps, start, stride, count)
            for j in range(several):
                factor = factors[(*place, i)][j::several]
                term = part * jnp.broadcast_to(factor, part.shape)
                totals[j] = term if i == 0 and not any(place) else totals[j] + term
    y = totals[0] if several == 1 else jnp.stack(totals, -1)
    return y.reshape(*y.shape[: len(window) + 1], d).astype(x.dtype)


def kernel_grad(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """w = Σ over examples and places of shifted x • δ: n h w c, n p q c → kh kw 1 c.

    Of several channels per group, the first ones are taken together as well.
    """
    groups = geometry.groups
    inputs, several = x.shape[-1] // groups, delta.shape[-1] // groups
    grads = [
        jnp.stack(
            [_by_one(x[..., i::inputs], delta[..., j::several], geometry) for j in range(several)],
            -1,
        )
        for i in range(inputs)
    ]  # per i: taps g j
    grad = jnp.stack(grads, 1).reshape(*geometry.window, inputs, delta.shape[-1])
    return grad.astype(x.dtype)


def _by_one(x: Array, delta: Array, geometry: Geometry) -> Array:
    """As many filters as channels: n h w c, n p q c → taps c, a few images at a time.

    Every tap goes over both maps once more, so they had better stay in the cache.
    """
    n, x, delta = x.shape[0], widen(x), widen(delta)
    size = (math.prod(x.shape[1:]) + math.prod(delta.shape[1:])) * x.dtype.itemsize
    images = together(n, BYTES // size)
    if images == n:
        return _over_images(x, delta, geometry)
    zero = jnp.zeros((geometry.taps, x.shape[-1]), x.dtype)
    of_part = partial(_over_images, geometry=geometry)
    return sum_over_parts(of_part, zero, x, delta, images=images)


def _over_images(x: Array, delta: Array, geometry: Geometry) -> Array:
    """The same of all these images at once.

    Rows of the same residue modulo `ROWS` are added element by element, since XLA's sums over all
    but the last axis are several times slower than its elementwise loops; the last rows are filled
    up with zeros. What is left, a sixteenth, is halved along the other axes and summed.
    """
    stride, dilation = geometry.stride, geometry.dilation
    rows = min(ROWS, geometry.output[0], max(4, PRODUCTS // geometry.taps))
    blocks = -(-geometry.output[0] // rows)
    count = (blocks * rows, *geometry.output[1:])
    wide = pad(delta, [(0, more - p) for more, p in zip(count, geometry.output, strict=True)])
    # Just as much of the padded map as the windows read.
    reach = [
        (k - 1) * d + (p - 1) * s + 1
        for k, d, p, s in zip(geometry.window, dilation, count, stride, strict=True)
    ]
    padding = [
        (low, size - low - h)
        for (low, _), size, h in zip(geometry.padding, reach, geometry.dilated_input, strict=True)
    ]
    maps = pad(x, padding, geometry.input_dilation)
    count, steps = (blocks, *geometry.output[1:]), (rows * stride[0], *stride[1:])
    sums = []
    for place in itertools.product(*(range(k) for k in geometry.window)):
        start = [t * d for t, d in zip(place, dilation, strict=True)]
        products = [
            every(maps, [start[0] + row * stride[0], *start[1:]], steps, count)
            * every(
                wide, [row] + [0] * (geometry.axes - 1), [rows] + [1] * (geometry.axes - 1), count
            )
            for row in range(rows)
        ]
        sums.append(sum(products[1:], products[0]))
    total = jnp.stack(sums)  # taps n blocks q c
    for axis in range(3, total.ndim - 1):
        total = _halve(total, axis)
    return total.sum(range(1, total.ndim - 1))


def _halve(x: Array, axis: int) -> Array:
    """The sum along an axis, kept with one element: the second half is added to the first."""
    while (size := x.shape[axis]) > 1:
        top = (size + 1) // 2
        low, high = (
            lax.slice_in_dim(x, 0, top, axis=axis),
            lax.slice_in_dim(x, top, size, axis=axis),
        )
        config = [(0, 0, 0)] * x.ndim
        config[axis] = (0, 2 * top - size, 0)
        x = low + lax.pad(high, jnp.zeros((), x.dtype), config)
    return x
