"""The three maps of the trilinear form ⟨x ⋆ k, δ⟩ as calls of XLA's convolution.

All three are written with the canonical dimension numbers (batch, space, channels) and explicit
transposes. JAX's own kernel gradient asks for the same convolution with other dimension numbers,
which XLA's CPU backend runs several times slower, and some seventy times slower inside a loop. With
one filter per channel a CPU does better without a convolution: see `jaxcnn.lowering.depthwise`.

Letters: n batch, c channels in, d channels out, g groups, h/w input, p/q output, k taps.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering import depthwise
from jaxcnn.lowering.precision import accumulator
from jaxcnn.lowering.sharding import Entries, declared

# Beyond so many groups the kernel gradient is one convolution again: the program would be long.
MAX_GROUPS = 64


def correlate(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """x ⋆ k: n h w c, kh kw c/g d → n p q d."""
    forward = partial(
        _convolution,
        stride=geometry.stride,
        padding=geometry.padding,
        dilation=geometry.dilation,
        input_dilation=geometry.input_dilation,
        groups=geometry.groups,
        precision=geometry.precision,
    )
    return declared(forward, lambda x, k: (x[0], *(None,) * geometry.axes, k[-1]), x, kernel)


def input_grad(delta: Array, kernel: Array, geometry: Geometry) -> Array:
    """full(dilate(δ), rot180(k)): n p q d, kh kw c/g d → n h w c.

    `full` pads by extent − 1, of which the forward padding already supplied `low`; at the high end
    it pads up to the size of the input, so a remainder that no window reached receives zeros.
    """
    low = [e - 1 - pad for e, (pad, _) in zip(geometry.extent, geometry.padding, strict=True)]
    high = [
        h - 1 + e - p - pad
        for h, e, p, pad in zip(
            geometry.dilated_input, geometry.extent, geometry.dilated_output, low, strict=True
        )
    ]

    def backward(delta: Array, kernel: Array) -> Array:
        return _convolution(
            delta,
            _swap_channels(_rot180(kernel, geometry.axes), geometry.groups),
            stride=geometry.input_dilation,
            padding=tuple(zip(low, high, strict=True)),
            dilation=geometry.dilation,
            input_dilation=geometry.stride,
            groups=geometry.groups,
            precision=geometry.precision,
        )

    def result(delta: Entries, kernel: Entries) -> Entries:
        channels = kernel[-2] if geometry.groups == 1 else None
        return (delta[0], *(None,) * geometry.axes, channels)

    return declared(backward, result, delta, kernel)


def kernel_grad(x: Array, delta: Array, geometry: Geometry) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d.

    The batch is what is summed over, so it takes the place of the channels, and the input channels
    that of the batch. Stride and dilation change places. The high padding stops where the last tap
    stops, so the result has exactly kh × kw elements, whatever remainder the stride left.
    """
    axes, groups = geometry.axes, geometry.groups
    split = 1 < groups <= MAX_GROUPS or (groups > 1 and _by_single_channels(x, geometry))
    correlation = _kernel_grad_in_groups if split else _kernel_grad

    def result(x: Entries, delta: Entries) -> Entries:
        return (*(None,) * axes, x[-1] if groups == 1 else None, delta[-1])

    return declared(partial(correlation, geometry=geometry), result, x, delta)


@partial(jax.jit, static_argnames="geometry")
def _kernel_grad_in_groups(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    single = _by_single_channels(x, geometry)
    cpu = _kernel_grad_by_channel if single else _kernel_grad_group_by_group
    return lax.platform_dependent(
        x,
        delta,
        cpu=partial(cpu, geometry=geometry),
        default=partial(_kernel_grad, geometry=geometry),
    )


def _by_single_channels(x: Array, geometry: Geometry) -> bool:
    return x.shape[-1] == geometry.groups and geometry.taps <= depthwise.MAX_TAPS


def _kernel_grad_by_channel(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """One channel per group, several filters perhaps: output j of every channel at a time."""
    several = delta.shape[-1] // x.shape[-1]
    grads = [depthwise.kernel_grad(x, delta[..., j::several], geometry) for j in range(several)]
    return jnp.stack(grads, -1).reshape(*geometry.window, 1, delta.shape[-1])


def _kernel_grad_group_by_group(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """Each group by itself, so that the batch, which may be sharded, is an axis of its own."""
    alone = replace(geometry, groups=1)
    pairs = zip(*(jnp.split(a, geometry.groups, -1) for a in (x, delta)), strict=True)
    return jnp.concatenate([_kernel_grad(*pair, geometry=alone) for pair in pairs], -1)


def _kernel_grad(x: Array, delta: Array, *, geometry: Geometry) -> Array:
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
    grad = _xla_convolution(
        x.reshape(c // groups, *geometry.input, groups * n),
        delta.transpose(*space, 0, axes + 1),  # n p q d → p q n d
        stride=geometry.dilation,
        padding=tuple((low, up) for (low, _), up in zip(geometry.padding, high, strict=True)),
        dilation=geometry.stride,
        input_dilation=geometry.input_dilation,
        groups=groups,
        precision=geometry.precision,
    )
    return grad.transpose(*space, 0, axes + 1)  # c/g kh kw d → kh kw c/g d


def _convolution(x: Array, kernel: Array, *, groups: int, precision: Any, **settings: Any) -> Array:
    *window, c, d = kernel.shape
    if depthwise.pays(window, c, d, groups):
        return _by_channel(x, kernel, precision=precision, **settings)
    return _xla_convolution(x, kernel, groups=groups, precision=precision, **settings)


@partial(jax.jit, static_argnames=("stride", "padding", "dilation", "input_dilation", "precision"))
def _by_channel(x: Array, kernel: Array, *, precision: Any, **settings: Any) -> Array:
    return lax.platform_dependent(
        x,
        kernel,
        cpu=partial(depthwise.correlate, **settings),
        default=partial(_xla_convolution, groups=x.shape[-1], precision=precision, **settings),
    )


def _xla_convolution(
    x: Array,
    kernel: Array,
    *,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    input_dilation: tuple[int, ...],
    groups: int,
    precision: Any,
) -> Array:
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=stride,
        padding=padding,
        lhs_dilation=input_dilation,
        rhs_dilation=dilation,
        dimension_numbers=channels_last(kernel.ndim - 2),
        feature_group_count=groups,
        precision=precision,
        preferred_element_type=accumulator(x.dtype),
    )
    return y.astype(x.dtype)


def channels_last(axes: int) -> lax.ConvDimensionNumbers:
    """The canonical layout: batch, space, channels; and space, channels in, channels out."""
    space = tuple(range(axes))
    maps = (0, axes + 1, *(axis + 1 for axis in space))
    return lax.ConvDimensionNumbers(maps, (axes + 1, axes, *space), maps)


def _rot180(kernel: Array, axes: int) -> Array:
    return jnp.flip(kernel, tuple(range(axes)))


def _swap_channels(kernel: Array, groups: int) -> Array:
    """Kh kw c/g (g d/g) → kh kw d/g (g c/g): input and output change roles within each group."""
    *window, c, d = kernel.shape
    kernel = kernel.reshape(*window, c, groups, d // groups)
    return jnp.swapaxes(kernel, -3, -1).reshape(*window, d // groups, groups * c)
