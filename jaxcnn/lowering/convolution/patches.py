"""The kernel gradient as a product of matrices: the patches of a few rows at a time, times δ.

With its default options XLA's CPU backend takes a kernel gradient, a convolution with a kernel as
large as the map, two to five times slower than this if images and channels are many. All patches at
once would be kh·kw copies of the map; those of a few rows of a few images stay in the cache. The
images of one product are not neighbours but as far apart as possible, so that a batch spread over
devices stays where it is.
"""

import itertools
import math
from functools import partial

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import at_once, every, outer_sum, pad
from jaxcnn.lowering.precision import accumulator
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.lowering.thresholds import (
    FEW_IMAGES,
    FEW_INPUTS,
    FILTERS_OF_PATCHES,
    MANY_SLICES,
    MIN_COLUMNS,
    MIN_PATCH,
    PATCH_BYTES,
)


def slower(problem: Problem) -> str:
    """Why the products are not worth the patches.

    A convolution has the images as channels. With the compiler options of `jaxcnn.jit` it is slow
    for one or two images; without them, for many images and for few filters.
    """
    c, d = problem.c, problem.d
    high, *wide = problem.geometry.window
    if (slices := high + math.prod(wide)) > MANY_SLICES:
        return f"a program of {slices} slices is more than {MANY_SLICES}"
    if problem.geometry.taps * c <= MIN_PATCH:
        return f"a patch has no more than {MIN_PATCH} numbers"
    if problem.n <= FEW_IMAGES or problem.fast:
        return few_images(problem)
    many = d > FILTERS_OF_PATCHES and c > FEW_INPUTS
    return "" if many else f"{c} channels or {d} filters are too few"


def few_images(problem: Problem) -> str:
    """Why a convolution with the images as channels is fast, even if they are few."""
    if problem.n > FEW_IMAGES:
        return f"a convolution of more than {FEW_IMAGES} images is fast"
    fits = problem.fast or problem.d <= FILTERS_OF_PATCHES
    return "" if fits else f"a convolution of few images and {problem.d} filters is fast"


def kernel_grad(
    x: Array, delta: Array, *, problem: Problem, patch_bytes: int = PATCH_BYTES
) -> Array:
    """w = Σ over blocks of rows of patches(x)ᵀ δ: n h w c, n p q d → kh kw c d."""
    dtype, n, c, d = x.dtype, x.shape[0], x.shape[-1], delta.shape[-1]
    geometry = problem.geometry
    images, rows = _block(n, c, geometry, x.dtype.itemsize, patch_bytes)
    x = pad(x, as_read(geometry), geometry.input_dilation)
    x, delta = (a.reshape(images, n // images, *a.shape[1:]) for a in (x, delta))

    def add(i: Array, total: Array, *, first: int, rows: int, blocks: int) -> Array:
        batch, block = (i, 0) if blocks == 1 else (i // blocks, i % blocks)
        start = first + block * rows
        reach = (rows - 1) * geometry.stride[0] + geometry.extent[0]
        outputs = _some_rows(delta, batch, start, rows)
        parts = _patches(_some_rows(x, batch, start * geometry.stride[0], reach), rows, geometry)
        factors = [(outputs, part) if turned else (part, outputs) for part in parts]
        products = [outer_sum(*pair, precision=geometry.precision) for pair in factors]
        return total + jnp.stack(products)

    columns = _columns(c, geometry)
    turned = d < columns
    shape = (d, columns) if turned else (columns, d)
    zero = jnp.zeros((geometry.taps * c // columns, *shape), accumulator(x.dtype))
    x, delta, zero = vary_together(x, delta, zero)  # what a loop carries keeps its type
    # The last rows are a block of fewer: with zeros in δ instead, ∞ in x would become NaN.
    blocks, rest = divmod(geometry.output[0], rows)
    total = lax.fori_loop(
        0, n // images * blocks, partial(add, first=0, rows=rows, blocks=blocks), zero
    )
    if rest:
        last = partial(add, first=blocks * rows, rows=rest, blocks=1)
        total = lax.fori_loop(0, n // images, last, total)
    total = total.swapaxes(1, 2) if turned else total
    return total.reshape(*geometry.window, c, d).astype(dtype)


def _columns(c: int, geometry: Geometry) -> int:
    """Of the patches of one product: those of a row of the kernel, or of all if they are few."""
    columns = math.prod(geometry.window[1:]) * c
    return columns if columns > MIN_COLUMNS else columns * geometry.window[0]


def _patches(x: Array, rows: int, geometry: Geometry) -> list[Array]:
    """The patches of some rows of outputs, m p q (k c): of each row of the kernel by itself.

    The map beside itself, shifted along the row, holds them all: row by row they are copied once.
    Where they would have few channels the patches of all rows are one.
    """
    (down, *steps), (apart, *dilation) = geometry.stride, geometry.dilation
    reach = (x.shape[1], *geometry.output[1:])
    along = []
    for place in itertools.product(*(range(k) for k in geometry.window[1:])):
        start = [t * e for t, e in zip(place, dilation, strict=True)]
        along.append(every(x, (0, *start), (1, *steps), reach))
    wide = jnp.concatenate(along, -1)
    starts = (t * apart for t in range(geometry.window[0]))
    parts = [lax.slice_in_dim(wide, a, a + (rows - 1) * down + 1, down, 1) for a in starts]
    split = wide.shape[-1] == _columns(x.shape[-1], geometry)
    return parts if split else [jnp.concatenate(parts, -1)]


def _block(n: int, c: int, geometry: Geometry, itemsize: int, patch_bytes: int) -> tuple[int, int]:
    """How many images, a divisor of n, and how many rows of the output make a block.

    Whole images, as few as fill the cache: a row of the map serves several rows of the output.
    """
    p, *space = geometry.output
    row = math.prod(space) * _columns(c, geometry) * itemsize
    images = at_once(n, patch_bytes // (row * p))
    parts = -(-row * p * images // (patch_bytes * at_once(n, 1)))
    return images, -(-p // min(p, parts))


def as_read(geometry: Geometry) -> list[tuple[int, int]]:
    """The padding that makes the map just as large as the windows reach."""
    return [
        (low, p - 1 + e - low - h)
        for (low, _), p, e, h in zip(
            geometry.padding, geometry.dilated_output, geometry.extent, geometry.dilated_input,
            strict=True,
        )
    ]  # fmt: skip


def _some_rows(x: Array, batch: Array, start: Array | int, size: int) -> Array:
    """M n/m h w c → m size w c: some rows of the batch-th images."""
    images, _, _, *rest = x.shape
    starts = (0, batch, start, *(0,) * len(rest))
    part = lax.dynamic_slice(x, starts, (images, 1, size, *rest), allow_negative_indices=False)
    return part.squeeze(1)
