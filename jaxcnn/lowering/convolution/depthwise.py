"""Convolutions with one filter per channel, written out: a product and a sum per tap.

XLA's CPU backend runs them as a convolution in c groups, tens of times slower than this sum, which
it fuses into one pass over the maps with the channels side by side in vector registers. Nothing
here mixes channels or, but for the kernel gradient, examples; so sharded maps stay where they are.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import at_once, every, pad, sum_over_parts
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.thresholds import (
    MAX_PRODUCTS,
    PRODUCTS,
    ROWS_ADDED,
    SIDE_BY_SIDE,
    SUM_BYTES,
    TAPS_IN_ONE_PASS,
)
from jaxcnn.sizes import known


def cannot(problem: Problem) -> str:
    """Why there are no groups."""
    return "" if problem.groups > 1 else "there is one group"


def slower(problem: Problem) -> str:
    """Why the products per element are many, or would not fill vector registers."""
    each = problem.inputs * problem.outputs
    if (products := problem.geometry.taps * each) > MAX_PRODUCTS:
        return f"{products} products per element are more than {MAX_PRODUCTS}"
    if problem.groups <= SIDE_BY_SIDE and each > 1:
        return f"{problem.groups} groups are no more than {SIDE_BY_SIDE}"
    return ""


def correlate(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """y = Σ over taps of shifted x • k: n h w c, kh kw 1 c → n p q c.

    Where groups have several channels, the first of every group are taken at once, then the second.
    """
    geometry, inputs, several = problem.geometry, problem.inputs, problem.outputs
    wide, factors = pad(widen(x), geometry.padding, geometry.input_dilation), widen(kernel)
    totals: list[Any] = [0] * several
    for i in range(inputs):
        maps = wide[..., i::inputs]
        for place in itertools.product(*(range(k) for k in geometry.window)):
            start = [t * e for t, e in zip(place, geometry.dilation, strict=True)]
            part = every(maps, start, geometry.stride, geometry.output)
            for j in range(several):
                factor = factors[(*place, i)][j::several]
                term = part * jnp.broadcast_to(factor, part.shape)
                totals[j] = term if i == 0 and not any(place) else totals[j] + term
    y = totals[0] if several == 1 else jnp.stack(totals, -1)
    return y.reshape(*y.shape[: geometry.axes + 1], problem.d).astype(x.dtype)


class Blocks(NamedTuple):
    """How much of a kernel gradient is taken at a time."""

    rows: int = ROWS_ADDED
    products: int = PRODUCTS
    bytes: int = SUM_BYTES
    taps: int = TAPS_IN_ONE_PASS


def kernel_grad(
    x: Array,
    delta: Array,
    *,
    problem: Problem,
    blocks: Blocks = Blocks(),  # noqa: B008 - frozen
) -> Array:
    """w = Σ over examples and places of shifted x • δ: n h w c, n p q c → kh kw 1 c.

    Several channels per group are taken as in `correlate`.
    """
    inputs, several = problem.inputs, problem.outputs
    by_one = partial(_by_one, geometry=problem.geometry, most=blocks)
    grads = [
        jnp.stack([by_one(x[..., i::inputs], delta[..., j::several]) for j in range(several)], -1)
        for i in range(inputs)
    ]  # per i: taps g j
    grad = jnp.stack(grads, 1).reshape(*problem.geometry.window, inputs, problem.d)
    return grad.astype(x.dtype)


def _by_one(x: Array, delta: Array, geometry: Geometry, most: Blocks) -> Array:
    """As many filters as channels: n h w c, n p q c → taps c, a few images at a time."""
    n, x, delta = x.shape[0], widen(x), widen(delta)
    # A map with zeros between its elements is written out, and so is one under a large window:
    # there would be too many rows at its edges. Any other is read where it lies.
    large = geometry.taps > min(most.taps, most.products / most.rows)
    if math.prod(geometry.input_dilation) > 1 or large:
        x, none = pad(x, geometry.padding, geometry.input_dilation), (1,) * geometry.axes
        around = ((0, 0),) * geometry.axes
        geometry = geometry.changed(input=x.shape[1:-1], padding=around, input_dilation=none)
    if geometry.taps > most.taps:
        return _by_window_rows(x, delta, geometry, most)
    blocks = _row_blocks(geometry, most)
    per_image = sum(rows.count for rows in blocks) * math.prod(delta.shape[2:])
    sums = geometry.taps * per_image * x.dtype.itemsize
    maps = (math.prod(x.shape[1:]) + math.prod(delta.shape[1:])) * x.dtype.itemsize
    whole = not known(n) or n * sums <= most.bytes
    images = n if whole else at_once(n, most.bytes // max(maps, sums))
    of_part = partial(_over_images, geometry=geometry, blocks=blocks)
    if images == n:
        return of_part(x, delta)
    zero = jnp.zeros((geometry.taps, x.shape[-1]), x.dtype)
    return sum_over_parts(of_part, zero, x, delta, images=images)


def _by_window_rows(x: Array, delta: Array, geometry: Geometry, most: Blocks) -> Array:
    """The same, a row of the window at a time. The map has its zeros around it."""
    axis = next(axis for axis, size in enumerate(geometry.window) if size > 1)
    window, size = list(geometry.window), list(geometry.input)
    rows, window[axis] = window[axis], 1
    size[axis] = (geometry.output[axis] - 1) * geometry.stride[axis] + 1
    row = geometry.changed(window=tuple(window), input=tuple(size))

    def of_row(number: Array) -> Array:
        start = number * geometry.dilation[axis]
        part = lax.dynamic_slice_in_dim(x, start, size[axis], axis + 1)
        return _by_one(part, delta, row, most)

    return lax.map(of_row, jnp.arange(rows)).reshape(geometry.taps, x.shape[-1])


class _Rows(NamedTuple):
    """Rows of δ, added element by element: `first`, then those `step` further, `count` times."""

    first: Sequence[int]
    step: int = 1
    count: int = 1


def _row_blocks(geometry: Geometry, at_a_time: Blocks) -> list[_Rows]:
    """All rows of δ: at once if they are few, or else some at a time.

    Rows for which some tap lies beyond the map, and those left over, are taken one by one.
    """
    rows, products = at_a_time.rows, at_a_time.products
    most = max(rows // 2, min(rows, products // geometry.taps))
    size, p, stride = geometry.input[0], geometry.output[0], geometry.stride[0]
    if p <= 2 * most:
        return [_Rows(range(p))]
    low, reach = geometry.padding[0][0], (geometry.window[0] - 1) * geometry.dilation[0]
    start = max(0, -(-low // stride))
    inside = max(0, min(p, (size - 1 + low - reach) // stride + 1) - start)
    rows = min(range(most // 2, most + 1), key=lambda rows: (inside % rows, -rows))
    stop = start + inside - inside % rows
    blocks = [_Rows(range(start, start + rows), rows, inside // rows)] if stop > start else []
    others = [*range(start), *range(stop, p)]
    few = (others[i : i + 2 * most] for i in range(0, len(others), 2 * most))
    return [*blocks, *(_Rows(rows) for rows in few)]


def _over_images(x: Array, delta: Array, geometry: Geometry, blocks: Sequence[_Rows]) -> Array:
    """The kernel gradient of all these images at once."""
    sums = [_over_rows(x, delta, geometry, rows) for rows in blocks]
    return sum(sums[1:], sums[0])


def _over_rows(x: Array, delta: Array, geometry: Geometry, rows: _Rows) -> Array:
    """The part of these rows of δ, for all taps in one pass over the maps.

    Rows are added element by element, since XLA's sums over all but the last axis are several times
    slower than its elementwise loops: only a few rows per map and tap are left for them. The taps
    lie side by side within it, so both maps are in the cache while it takes one after the other.
    """
    stride, *strides = geometry.stride
    others = geometry.output[1:]
    sums = []
    for place in itertools.product(*(range(k) for k in geometry.window)):
        above, *first = (
            t * d - low
            for t, d, (low, _) in zip(place, geometry.dilation, geometry.padding, strict=True)
        )
        # Along the other axes, the places of δ whose tap reads the map itself.
        spans = [
            _inside(*axis) for axis in zip(first, strides, geometry.input[1:], others, strict=True)
        ]
        lows = [start for start, _ in spans]
        counts = [rows.count, *(stop - start for start, stop in spans)]
        onto = [r for r in rows.first if 0 <= r * stride + above < geometry.input[0]]
        if not onto or not math.prod(counts):  # the tap reads nothing but padding
            sums.append(jnp.zeros((x.shape[0], rows.count, *others, x.shape[-1]), x.dtype))
            continue
        begin = [low * s + f for low, s, f in zip(lows, strides, first, strict=True)]
        products = [
            every(x, [row * stride + above, *begin], [rows.step * stride, *strides], counts)
            * every(delta, [row, *lows], [rows.step, *(1 for _ in lows)], counts)
            for row in onto
        ]
        edges = [(start, q - stop) for (start, stop), q in zip(spans, others, strict=True)]
        sums.append(pad(_added(products, place[-1]), [(0, 0), *edges]))
    total = _side_by_side(iter(sums), geometry.window)
    total = total.sum(range(total.ndim - 1 - geometry.axes))
    return total.reshape(geometry.taps, x.shape[-1])


def _inside(first: int, stride: int, size: int, count: int) -> tuple[int, int]:
    """The first place at which first + place • stride lies on the map, and the last + 1."""
    start = min(count, max(0, -(first // stride)))
    return start, max(start, min(count, (size - 1 - first) // stride + 1))


def _added(terms: list[Array], order: int) -> Array:
    """The sum, in one of three orders, which differ for neighbouring taps.

    LLVM merges instructions that are alike in several branches, here taps. The innermost loop then
    chooses between addresses, and LLVM no longer vectorizes it.
    """
    if order % 3 == 0:
        return reduce(lambda total, term: total + term, terms)
    if order % 3 == 1:
        return reduce(lambda total, term: term + total, reversed(terms))
    half = len(terms) // 2
    return _added(terms[half:], 0) + _added(terms[:half], 0) if half else terms[0]


def _side_by_side(sums: Iterator[Array], window: Sequence[int]) -> Array:
    """One per tap, along new axes before the channels: n blocks q c → n blocks q kh kw c.

    An axis at a time: XLA fuses no more than eight pieces with the concatenation of them.
    """
    if not window:
        return next(sums)
    parts = [_side_by_side(sums, window[1:]) for _ in range(window[0])]
    return jnp.stack(parts, -1 - len(window))
