"""Convolutions with kernels of one element: a product of matrices, with all places as its rows.

XLA's CPU backend would take them as convolutions, two to seven times slower.
"""

import math
from collections.abc import Sequence

import jax
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.places import at_once, in_one_lane, long_sum, outer_sum, pad
from jaxcnn.lowering.plain import Sliding
from jaxcnn.lowering.precision import accumulator
from jaxcnn.sizes import known

# Into how many parts a sum is cut, if each has this many times more places than channels.
FEW_PARTS, PLACES = 4, 16


def applies(window: Sequence[int], sliding: Sliding) -> bool:
    """Whether a window holds one element, of all channels."""
    if set(window) != {1} or sliding.groups > 1:
        return False
    return max(sliding.stride) == 1 or max(sliding.input_dilation) == 1


def correlate(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """y = x k at every stride-th place: n h w c, 1 1 c d → n p q d."""
    axes = kernel.ndim - 2
    strided = max(sliding.stride) > 1
    if strided:  # the places first, of which fewer are left; else the zeros last: they stay zeros
        x = _every_stride(pad(x, sliding.padding), sliding.stride)
    y = lax.dot_general(
        x,
        kernel.reshape(kernel.shape[-2:]),
        (((axes + 1,), (0,)), ((), ())),
        precision=sliding.precision,
        preferred_element_type=accumulator(x.dtype),
    ).astype(x.dtype)
    return y if strided else pad(y, sliding.padding, sliding.input_dilation)


def kernel_grad(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """w = Σ over examples and places of x δᵀ: n h w c, n p q d → 1 1 c d."""
    x = _every_stride(pad(x, geometry.padding, geometry.input_dilation), geometry.stride)
    if in_one_lane(math.prod(x.shape[:-1]), x.shape[-1], delta.shape[-1]):
        grad = long_sum(x, delta).astype(x.dtype)
        return grad.reshape(*geometry.window, *grad.shape)
    parts = _parts(x.shape, delta.shape[-1])
    x, delta = (a.reshape(parts, -1, a.shape[-1]) for a in (x, delta))
    c, d = x.shape[-1], delta.shape[-1]
    factors = (x, delta) if c <= d else (delta, x)
    grad = outer_sum(*factors, beside=1, precision=geometry.precision).sum(0).astype(x.dtype)
    return (grad if c <= d else grad.T).reshape(*geometry.window, c, d)


def _parts(x: Sequence[int], d: int) -> int:
    """Into how many products the sum over places is cut, of a map x and d output channels.

    A product's processors share its result: where that is small and the sum is long, they had
    better share the sum. Devices keep their own images.
    """
    n, *space, c = x
    if not known(n):
        return 1
    parts = at_once(n, FEW_PARTS // jax.device_count())
    return parts if n * math.prod(space) >= parts * PLACES * max(c, d) else at_once(n, 1)


def _every_stride(x: Array, stride: Sequence[int]) -> Array:
    return x[(slice(None), *(slice(None, None, s) for s in stride))]
