"""Correlation and kernel gradient as one call of XLA's convolution each, in the canonical layout.

That is batch, space, channels for the maps, and space, channels in, channels out for the kernel: of
all layouts XLA's CPU backend knows it best, and GPU libraries know it too.
"""

import itertools
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.precision import accumulator
from jaxcnn.sizes import known

# What computes a map: a form, or what it leaves to another one, as for each group or each slice.
Map = Callable[..., Array]


def correlate(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """y = x ⋆ k: n h w c, kh kw c/g d → n p q d."""
    geometry = problem.geometry
    padding, gaps = geometry.padding, geometry.input_dilation
    if not known(*itertools.chain(*padding)):  # XLA's convolution takes numbers only
        config = zip(padding, gaps, strict=True)
        around = [(0, 0, 0), *((*pads, gap - 1) for pads, gap in config), (0, 0, 0)]
        x = lax.pad(x, jnp.zeros((), x.dtype), around)
        padding, gaps = ((0, 0),) * geometry.axes, (1,) * geometry.axes
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=geometry.stride,
        padding=padding,
        lhs_dilation=gaps,
        rhs_dilation=geometry.dilation,
        dimension_numbers=channels_last(geometry.axes),
        feature_group_count=geometry.groups,
        precision=geometry.precision,
        preferred_element_type=accumulator(x.dtype),
    )
    return y.astype(x.dtype)


def kernel_grad(x: Array, delta: Array, *, problem: Problem) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d.

    The batch is what is summed over, so it takes the place of the channels, and the input channels
    that of the batch. Stride and dilation change places.
    """
    axes, groups, inputs = problem.geometry.axes, problem.groups, problem.inputs
    space = tuple(range(1, axes + 1))
    # n h w (g c/g) → c/g h w (g n)
    x = x.reshape(*x.shape[:-1], groups, inputs).transpose(axes + 2, *space, axes + 1, 0)
    x = x.reshape(inputs, *problem.geometry.input, groups * problem.n)
    turned = delta.transpose(*space, 0, axes + 1)  # n p q d → p q n d
    grad = correlate(x, turned, problem=problem.of_kernel_grad)
    return grad.transpose(*space, 0, axes + 1)  # c/g kh kw d → kh kw c/g d


def channels_last(axes: int) -> lax.ConvDimensionNumbers:
    """The canonical layout: batch, space, channels; and space, channels in, channels out."""
    space = tuple(range(axes))
    maps = (0, axes + 1, *(axis + 1 for axis in space))
    return lax.ConvDimensionNumbers(maps, (axes + 1, axes, *space), maps)


def turned_kernel(kernel: Array, groups: int) -> Array:
    """rot180(k), channels in and out exchanged in each group: kh kw c/g d → kh kw d/g c."""
    *window, c, d = kernel.shape
    kernel = jnp.flip(kernel, tuple(range(len(window))))
    kernel = kernel.reshape(*window, c, groups, d // groups)
    return jnp.swapaxes(kernel, -3, -1).reshape(*window, d // groups, groups * c)
