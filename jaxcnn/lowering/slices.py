"""Convolutions over three axes as convolutions over two: what a window sees becomes channels.

XLA's CPU backend is several times slower over three axes of space than over two. A window of depth
k sees k slices of a volume. Beside each other, they are one map of k·c channels, and the outputs
along the first axis are examples:

    x'[(n p), h, w, (a c)] = x[n, p·s + a·e, h, w, c],    k'[…, (a c), d] = k[a, …, c, d]
"""

from dataclasses import replace
from typing import TypeVar

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.places import pad
from jaxcnn.lowering.plain import Correlation, KernelGrad, Sliding

Static = TypeVar("Static", Sliding, Geometry)


def correlate(x: Array, kernel: Array, *, sliding: Sliding, flat: Correlation) -> Array:
    """y = x ⋆ k: n t h w c, kt kh kw c d → n p q r d; `flat` is that over two axes."""
    taps, *window, c, d = kernel.shape
    maps, count = _beside_each_other(x, taps, sliding)
    y = flat(maps, jnp.moveaxis(kernel, 0, -3).reshape(*window, taps * c, d), over_two(sliding))
    return y.reshape(x.shape[0], count, *y.shape[1:])


def kernel_grad(x: Array, delta: Array, *, geometry: Geometry, flat: KernelGrad) -> Array:
    """w = x ⋆ dilate(δ): n t h w c, n p q r d → kt kh kw c d."""
    taps, *window = geometry.window
    maps, _ = _beside_each_other(x, taps, geometry)
    delta = delta.reshape(-1, *delta.shape[2:])
    within = replace(
        over_two(geometry),
        input=geometry.input[1:],
        window=geometry.window[1:],
        output=geometry.output[1:],
        overhang=(),
    )
    grad = flat(maps, delta, within)
    return jnp.moveaxis(grad.reshape(*window, taps, x.shape[-1], delta.shape[-1]), -3, 0)


def _beside_each_other(x: Array, taps: int, sliding: Sliding | Geometry) -> tuple[Array, int]:
    """x', and how many outputs there are along the first axis."""
    stride, dilation = sliding.stride[0], sliding.dilation[0]
    around = [sliding.padding[0], *((0, 0),) * (len(sliding.stride) - 1)]
    between = [sliding.input_dilation[0], *(1,) * (len(sliding.stride) - 1)]
    x = pad(x, around, between)
    count = (x.shape[1] - (taps - 1) * dilation - 1) // stride + 1
    reach = (count - 1) * stride + 1
    seen = [
        lax.slice_in_dim(x, a * dilation, a * dilation + reach, stride, axis=1) for a in range(taps)
    ]
    maps = jnp.concatenate(seen, -1)
    return maps.reshape(-1, *maps.shape[2:]), count


def over_two(sliding: Static) -> Static:
    """How the windows slide over the other two axes."""
    return replace(
        sliding,
        stride=sliding.stride[1:],
        padding=sliding.padding[1:],
        dilation=sliding.dilation[1:],
        input_dilation=sliding.input_dilation[1:],
    )
