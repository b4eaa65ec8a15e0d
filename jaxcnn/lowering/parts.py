"""The kernel gradient as a sum over parts of the batch, each of some images.

As a convolution it has the images as channels, so the map is transposed: numbers that were side by
side end up far apart. With a few images at a time that happens in the cache. Nor can XLA's CPU
backend compute the map anew while it transposes it, since what a loop reads has to be there; of a
single large transposition it makes, number by number, all that the map comes from once more: the
normalisation, the activation and the sums of the residual blocks before it. With XLA's default
options, moreover, a convolution takes longer for each image if many of them are its channels.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.geometry import Geometry
from jaxcnn.hints import fast
from jaxcnn.lowering import extended
from jaxcnn.lowering.places import REGISTER, sum_over_parts
from jaxcnn.lowering.precision import accumulator, widen

# Bytes of the map to transpose at a time: a second-level cache. A smaller map is taken whole.
MAP_BYTES = 2**20
# With fewer images the convolution has too few channels, with fewer places too short sums.
MIN_IMAGES, MIN_PLACES = 16, 2**12
# For larger windows the products take so long that the transposition does not matter.
MAX_TAPS = 25
# By default an image takes longer among more than this many; with few filters, than twice as many.
SLOW_IMAGES, FEW_FILTERS = 8, REGISTER


def pays(images: int, channels: int, filters: int, geometry: Geometry) -> bool:
    """Whether the map is large, and divides into parts of images enough."""
    short = geometry.taps <= MAX_TAPS or not fast(geometry.axes)
    return short and _images(images, channels, filters, geometry) < images


def kernel_grad(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """w = Σ over parts of x ⋆ dilate(δ): n h w c, n p q d → kh kw c d."""
    n, c, d = x.shape[0], x.shape[-1], delta.shape[-1]
    images = _images(n, c, d, geometry)

    def of_part(x: Array, delta: Array) -> Array:
        return extended.kernel_grad(widen(x), widen(delta), geometry=geometry)

    zero = jnp.zeros((*geometry.window, c, d), accumulator(x.dtype))
    return sum_over_parts(of_part, zero, x, delta, images=images).astype(x.dtype)


def _images(n: int, c: int, d: int, geometry: Geometry) -> int:
    """How many images make a part, the same number from every device; all of them if all fit."""
    devices = math.gcd(n, jax.device_count())
    own = n // devices
    if fast(geometry.axes):
        size = 4 * math.prod(geometry.input) * c
        least = max(MIN_IMAGES, MIN_PLACES // math.prod(geometry.output), MAP_BYTES // size)
    else:
        least = 2 * SLOW_IMAGES if d <= FEW_FILTERS else SLOW_IMAGES
    parts = (m for m in range(least, own // 2 + 1) if own % m == 0)
    return devices * next(parts, own)
