"""Convolutions with one filter per channel, written out: a product and a sum per tap.

XLA's CPU backend runs them as a convolution in c groups, tens of times slower than this sum, which
it fuses into one pass over the maps with the channels side by side in vector registers. Nothing
here mixes channels or, but for the kernel gradient, examples; so sharded maps stay where they are.
"""

import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.precision import widen

# Beyond so many taps the program would be long, and a convolution loses less.
MAX_TAPS = 128
# The kernel gradient adds so many rows element by element before it sums over what is left.
ROWS = 16


def pays(window: Sequence[int], c: int, d: int, groups: int) -> bool:
    """Whether there are several channels, each with one small filter of its own."""
    return c == 1 and d == groups > 1 and math.prod(window) <= MAX_TAPS


def correlate(
    x: Array,
    kernel: Array,
    *,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    input_dilation: Sequence[int],
) -> Array:
    """y = Σ over taps of shifted x • k: n h w c, kh kw 1 c → n p q c."""
    window = kernel.shape[:-2]
    wide, factors = _pad(widen(x), padding, input_dilation), widen(kernel)
    extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    count = [(h - e) // s + 1 for h, e, s in zip(wide.shape[1:-1], extent, stride, strict=True)]
    total = None
    for place in itertools.product(*(range(k) for k in window)):
        start = [t * d for t, d in zip(place, dilation, strict=True)]
        part = _every(wide, start, stride, count)
        term = part * jnp.broadcast_to(factors[(*place, 0)], part.shape)
        total = term if total is None else total + term
    assert total is not None
    return total.astype(x.dtype)


def kernel_grad(x: Array, delta: Array, geometry: Geometry) -> Array:
    """w = Σ over examples and places of shifted x • δ: n h w c, n p q c → kh kw 1 c.

    Rows of the same residue modulo `ROWS` are added element by element, since XLA's sums over all
    but the last axis are several times slower than its elementwise loops; the last rows are filled
    up with zeros. What is left, a sixteenth, is halved along the other axes and summed.
    """
    stride, dilation = geometry.stride, geometry.dilation
    rows = min(ROWS, geometry.output[0])
    blocks = -(-geometry.output[0] // rows)
    count = (blocks * rows, *geometry.output[1:])
    wide = _pad(
        widen(delta), [(0, more - p) for more, p in zip(count, geometry.output, strict=True)]
    )
    # Just as much of the padded map as the windows read.
    reach = [
        (k - 1) * d + (p - 1) * s + 1
        for k, d, p, s in zip(geometry.window, dilation, count, stride, strict=True)
    ]
    padding = [
        (low, size - low - h)
        for (low, _), size, h in zip(geometry.padding, reach, geometry.dilated_input, strict=True)
    ]
    maps = _pad(widen(x), padding, geometry.input_dilation)
    count, steps = (blocks, *geometry.output[1:]), (rows * stride[0], *stride[1:])
    sums = []
    for place in itertools.product(*(range(k) for k in geometry.window)):
        start = [t * d for t, d in zip(place, dilation, strict=True)]
        products = [
            _every(maps, [start[0] + row * stride[0], *start[1:]], steps, count)
            * _every(
                wide, [row] + [0] * (geometry.axes - 1), [rows] + [1] * (geometry.axes - 1), count
            )
            for row in range(rows)
        ]
        sums.append(sum(products[1:], products[0]))
    total = jnp.stack(sums)  # taps n blocks q c
    for axis in range(3, total.ndim - 1):
        total = _halve(total, axis)
    grad = total.sum(range(1, total.ndim - 1))
    return grad.reshape(*geometry.window, 1, delta.shape[-1]).astype(x.dtype)


def _pad(
    x: Array, padding: Sequence[tuple[int, int]], dilation: Sequence[int] | None = None
) -> Array:
    """Zeros around the maps, and between their elements; negative paddings crop."""
    gaps = [0] * len(padding) if dilation is None else [d - 1 for d in dilation]
    config = [(*pads, gap) for pads, gap in zip(padding, gaps, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])


def _every(x: Array, start: Sequence[int], stride: Sequence[int], count: Sequence[int]) -> Array:
    """So many elements from a start on along each axis of space, a stride apart."""
    stop = [b + (p - 1) * s + 1 for b, p, s in zip(start, count, stride, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *stride, 1))


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
