"""Correlation and kernel gradient as one call of XLA's convolution each, in the canonical layout.

That is batch, space, channels for the maps, and space, channels in, channels out for the kernel: of
all layouts XLA's CPU backend knows it best, and GPU libraries know it too.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.hints import backward_follows, fast
from jaxcnn.lowering.precision import accumulator
from jaxcnn.sizes import known


@dataclass(frozen=True)
class Sliding:
    """How a kernel slides over a map: static, hashable, the same for every form."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    input_dilation: tuple[int, ...]
    groups: int
    precision: Any
    fast_convolutions: bool
    backward_follows: bool

    @classmethod
    def of(cls, geometry: Geometry) -> "Sliding":
        """As the kernel of that geometry does, forwards."""
        return cls(
            stride=geometry.stride,
            padding=geometry.padding,
            dilation=geometry.dilation,
            input_dilation=geometry.input_dilation,
            groups=geometry.groups,
            precision=geometry.precision,
            fast_convolutions=fast(geometry.axes),
            backward_follows=backward_follows.value,
        )


# What a form leaves to another one: of each group, of each slice of a volume.
Correlation = Callable[[Array, Array, Sliding], Array]
KernelGrad = Callable[[Array, Array, Geometry], Array]


def correlate(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """y = x ⋆ k: n h w c, kh kw c/g d → n p q d."""
    if not known(*itertools.chain(*sliding.padding)):  # XLA's convolution takes numbers only
        config = zip(sliding.padding, sliding.input_dilation, strict=True)
        around = [(0, 0, 0), *((*pads, gap - 1) for pads, gap in config), (0, 0, 0)]
        x = lax.pad(x, jnp.zeros((), x.dtype), around)
        none = (1,) * len(sliding.stride)
        sliding = replace(sliding, padding=tuple((0, 0) for _ in none), input_dilation=none)
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=sliding.stride,
        padding=sliding.padding,
        lhs_dilation=sliding.input_dilation,
        rhs_dilation=sliding.dilation,
        dimension_numbers=channels_last(kernel.ndim - 2),
        feature_group_count=sliding.groups,
        precision=sliding.precision,
        preferred_element_type=accumulator(x.dtype),
    )
    return y.astype(x.dtype)


def kernel_grad(
    x: Array,
    delta: Array,
    *,
    geometry: Geometry,
    correlate: Callable[..., Array] = correlate,
) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d.

    The batch is what is summed over, so it takes the place of the channels, and the input channels
    that of the batch. Stride and dilation change places. The high padding stops where the last tap
    stops, so the result has exactly kh × kw elements, whatever remainder the stride left.
    """
    axes, groups = geometry.axes, geometry.groups
    high = [
        (k - 1) * d + p - h - low
        for k, d, p, h, (low, _) in zip(
            geometry.window,
            geometry.dilation,
            geometry.dilated_output,
            geometry.dilated_input,
            geometry.padding,
            strict=True,
        )
    ]
    n, c = x.shape[0], x.shape[-1]
    space = tuple(range(1, axes + 1))
    # n h w (g c/g) → c/g h w (g n)
    x = x.reshape(*x.shape[:-1], groups, c // groups).transpose(axes + 2, *space, axes + 1, 0)
    sliding = Sliding(
        stride=geometry.dilation,
        padding=tuple((low, up) for (low, _), up in zip(geometry.padding, high, strict=True)),
        dilation=geometry.stride,
        input_dilation=geometry.input_dilation,
        groups=groups,
        precision=geometry.precision,
        fast_convolutions=fast(geometry.axes),
        backward_follows=True,
    )
    x = x.reshape(c // groups, *geometry.input, groups * n)
    grad = correlate(x, delta.transpose(*space, 0, axes + 1), sliding=sliding)  # n p q d → p q n d
    return grad.transpose(*space, 0, axes + 1)  # c/g kh kw d → kh kw c/g d


def channels_last(axes: int) -> lax.ConvDimensionNumbers:
    """The canonical layout: batch, space, channels; and space, channels in, channels out."""
    space = tuple(range(axes))
    maps = (0, axes + 1, *(axis + 1 for axis in space))
    return lax.ConvDimensionNumbers(maps, (axes + 1, axes, *space), maps)
