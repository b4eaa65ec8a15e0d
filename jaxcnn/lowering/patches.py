"""The kernel gradient as a product of matrices: the patches of a few rows at a time, times δ.

With its default options XLA's CPU backend takes a kernel gradient, a convolution with a kernel as
large as the map, two to five times slower than this. All patches at once would be kh·kw copies of
the map; those of a few rows of a few images stay in the cache. The images taken together are not
neighbours but as far apart as possible, so that a batch spread over devices stays where it is.
"""

import itertools
import math

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.places import every, largest_divisor, pad
from jaxcnn.lowering.precision import accumulator
from jaxcnn.lowering.sharding import vary_together

# Bytes of patches at a time: a second-level cache and a bit.
BYTES = 2 * 2**20
IMAGES = 64
# With fewer products per element of a patch, writing the patches takes longer than it saves.
MIN_CHANNELS, MIN_PATCH = 16, 16
FEW_IMAGES = 2


def pays(geometry: Geometry, images: int, inputs: int, outputs: int) -> bool:
    """Whether convolutions are slow, and the products worth the patches.

    They never are fast for one image or two: these are the channels of that convolution.
    """
    return (
        (images <= FEW_IMAGES or not geometry.fast_convolutions)
        and outputs >= MIN_CHANNELS
        and geometry.taps * inputs >= MIN_PATCH
    )


def kernel_grad(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """w = Σ over blocks of rows of patches(x)ᵀ δ: n h w c, n p q d → kh kw c d."""
    return kernel_sum(x, delta, geometry=geometry).astype(x.dtype)


def kernel_sum(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """The same, not yet rounded to the dtype of x."""
    n, c, d = x.shape[0], x.shape[-1], delta.shape[-1]
    images, rows = _block(n, c, geometry, x.dtype.itemsize)
    blocks = -(-geometry.output[0] // rows)
    count = (rows, *geometry.output[1:])
    # Rows at the end that only fill up the last block: zeros in δ.
    surplus = blocks * rows - geometry.output[0]
    step, dilation = geometry.stride[0], geometry.dilation
    reach = (geometry.window[0] - 1) * dilation[0] + (rows - 1) * step + 1
    x = pad(x, _as_read(geometry, surplus), geometry.input_dilation)
    delta = pad(delta, ((0, surplus), *((0, 0),) * (geometry.axes - 1)))
    x, delta = (a.reshape(images, n // images, *a.shape[1:]) for a in (x, delta))

    def add(i: Array, total: Array) -> Array:
        batch, block = i // blocks, i % blocks
        part = _rows(x, batch, block * (rows * step), reach)
        patches = [
            every(
                part, [t * e for t, e in zip(place, dilation, strict=True)], geometry.stride, count
            )
            for place in itertools.product(*(range(k) for k in geometry.window))
        ]
        places = tuple(range(geometry.axes + 1))
        return total + lax.dot_general(
            jnp.concatenate(patches, -1),
            _rows(delta, batch, block * rows, rows),
            ((places, places), ((), ())),
            precision=geometry.precision,
            preferred_element_type=total.dtype,
        )

    zero = jnp.zeros((geometry.taps * c, d), accumulator(x.dtype) or x.dtype)
    x, delta, zero = vary_together(x, delta, zero)  # what a loop carries keeps its type
    total = lax.fori_loop(0, n // images * blocks, add, zero)
    return total.reshape(*geometry.window, c, d)


def _block(n: int, c: int, geometry: Geometry, itemsize: int) -> tuple[int, int]:
    """How many images, a divisor of n, and how many rows of the output are taken together."""
    row = math.prod(geometry.output[1:]) * geometry.taps * c * itemsize
    images = largest_divisor(n, min(IMAGES, BYTES // row))
    return images, max(1, min(geometry.output[0], BYTES // (row * images)))


def _as_read(geometry: Geometry, surplus: int) -> list[tuple[int, int]]:
    """The padding that makes the map just as large as the windows reach, and the surplus ones."""
    more = (surplus, *(0,) * (geometry.axes - 1))
    return [
        (low, (p + m - 1) * s + e - low - h)
        for (low, _), p, m, s, e, h in zip(
            geometry.padding, geometry.output, more, geometry.stride, geometry.extent,
            geometry.dilated_input, strict=True,
        )
    ]  # fmt: skip


def _rows(x: Array, batch: Array, start: Array, size: int) -> Array:
    """M n/m h w c → m size w c: some rows of the batch-th images."""
    part = lax.dynamic_index_in_dim(x, batch, 1, keepdims=False)
    return lax.dynamic_slice_in_dim(part, start, size, 1)
