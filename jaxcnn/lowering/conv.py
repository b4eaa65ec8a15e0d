"""The three maps of the trilinear form ⟨x ⋆ k, δ⟩, and the choice of how each is computed.

On GPUs and TPUs each is one call of XLA's convolution (`plain`), which the libraries there know. On
a CPU it depends on the shapes, and there are other forms beside it:

  pointwise   windows of one element: a product of matrices
  depthwise   few channels per group: products of shifted maps, summed
  grouped     more channels per group: each group by itself
  banded      few channels: neighbours in a row become channels
  extended    where XLA's default is slow: a few more zeros, whose outputs are cut off again
  phases      zeros between the elements (strides, transposed): without multiplying by them
  slices      three axes of space: two, with the depth of the window as channels
  patches     kernel gradients where convolutions are slow: patches of some rows, times δ
  dilated     kernel gradients of maps with zeros between the elements: x and δ change roles
  parts       other kernel gradients: some images at a time

Fourier transforms (`fft`) take their place, everywhere, if `method` says so.

A NaN or ∞ spoils the outputs that read it and no others, as in a sum over taps written as a loop;
where a tap that is not finite meets padding, there may be 0 or NaN. Banded kernels, and those of
joined phases, have zeros between their taps, and 0 · ∞ is NaN: they are for finite maps, `plain`
for all others. Only Fourier transforms spread everything over the whole map.

All are written with the canonical dimension numbers (batch, space, channels) and explicit
transposes. JAX's own kernel gradient asks for the same convolution with other dimension numbers,
which XLA's CPU backend runs several times slower, and some seventy times slower inside a loop.

Letters: n batch, c channels in, d channels out, g groups, h/w input, p/q output, k taps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import jax.numpy as jnp
from jax import Array

from jaxcnn.geometry import Geometry
from jaxcnn.hints import fast
from jaxcnn.lowering import (
    banded,
    depthwise,
    extended,
    fft,
    grouped,
    parts,
    patches,
    phases,
    plain,
    pointwise,
    slices,
)
from jaxcnn.lowering.places import on_a_cpu, where_finite
from jaxcnn.lowering.plain import Sliding
from jaxcnn.lowering.sharding import Entries, declared
from jaxcnn.sizes import known

Form = Callable[..., Array]


def correlate(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """x ⋆ k: n h w c, kh kw c/g d → n p q d."""
    if geometry.method == "fft":
        return fft.correlate(x, kernel, geometry)
    sliding = Sliding.of(geometry)

    def forward(x: Array, kernel: Array) -> Array:
        return _correlation(x, kernel, sliding)

    return declared(forward, lambda x, k: (x[0], *(None,) * geometry.axes, k[-1]), x, kernel)


def input_grad(delta: Array, kernel: Array, geometry: Geometry) -> Array:
    """full(dilate(δ), rot180(k)): n p q d, kh kw c/g d → n h w c.

    `full` pads by extent − 1, of which the forward padding already supplied `low`; at the high end
    it pads up to the size of the input, so a remainder that no window reached receives zeros.
    """
    if geometry.method == "fft":
        return fft.input_grad(delta, kernel, geometry)
    low = [e - 1 - pad for e, (pad, _) in zip(geometry.extent, geometry.padding, strict=True)]
    high = [
        h - 1 + e - p - pad
        for h, e, p, pad in zip(
            geometry.dilated_input, geometry.extent, geometry.dilated_output, low, strict=True
        )
    ]
    sliding = Sliding(
        stride=geometry.input_dilation,
        padding=tuple(zip(low, high, strict=True)),
        dilation=geometry.dilation,
        input_dilation=geometry.stride,
        groups=geometry.groups,
        precision=geometry.precision,
        fast_convolutions=fast(geometry.axes),
        backward_follows=True,
    )

    def backward(delta: Array, kernel: Array) -> Array:
        turned = _swap_channels(_rot180(kernel, geometry.axes), geometry.groups)
        return _correlation(delta, turned, sliding)

    def result(delta: Entries, kernel: Entries) -> Entries:
        channels = kernel[-2] if geometry.groups == 1 else None
        return (delta[0], *(None,) * geometry.axes, channels)

    return declared(backward, result, delta, kernel)


def kernel_grad(x: Array, delta: Array, geometry: Geometry) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d."""
    if geometry.method == "fft":
        return fft.kernel_grad(x, delta, geometry)

    def result(x: Entries, delta: Entries) -> Entries:
        channels = x[-1] if geometry.groups == 1 else None
        return (*(None,) * geometry.axes, channels, delta[-1])

    return declared(partial(_kernel_gradient, geometry=geometry), result, x, delta)


# The choice ---------------------------------------------------------------------------------------


def _correlation(x: Array, kernel: Array, sliding: Sliding) -> Array:
    sizes = *x.shape[1:], *kernel.shape
    form = correlation_form(kernel.shape, sliding) if known(*sizes) else plain.correlate
    if form is plain.correlate:
        return form(x, kernel, sliding=sliding)
    form = _of_finite_maps if adds_zeros(kernel.shape, sliding) else form
    return on_a_cpu(x, kernel, cpu=form, default=plain.correlate, sliding=sliding)


def _of_finite_maps(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """By the form that is chosen, or plainly where its zeros would meet what is not finite."""
    form = correlation_form(kernel.shape, sliding)
    forms = (partial(f, sliding=sliding) for f in (form, _plainly))
    return where_finite(x, *forms, x, kernel)


def _plainly(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """Each group by itself: XLA's CPU backend puts zeros between groups of one channel."""

    def alone(x: Array, kernel: Array, sliding: Sliding) -> Array:
        return plain.correlate(x, kernel, sliding=sliding)

    return grouped.correlate(x, kernel, sliding=sliding, alone=alone)


def adds_zeros(kernel: Sequence[int], sliding: Sliding) -> bool:
    """Whether the form for such a kernel, or that of its parts, puts zeros between the taps."""
    form = correlation_form(kernel, sliding)
    *window, c, d = kernel
    if form is _by_groups:
        return adds_zeros((*window, c, d // sliding.groups), replace(sliding, groups=1))
    if form is _by_slices:
        return adds_zeros((*window[1:], window[0] * c, d), slices.over_two(sliding))
    return form in (banded.correlate, phases.correlate_joined)


def correlation_form(kernel: Sequence[int], sliding: Sliding) -> Form:
    """How a CPU computes a convolution, or an input gradient, with a kernel of this shape."""
    *window, inputs, d = kernel
    groups = sliding.groups
    if not window:
        return plain.correlate
    if pointwise.applies(window, sliding):
        # XLA's own convolution of a map is that product, and is spread better over processors.
        steps = *sliding.stride, *sliding.input_dilation
        own = sliding.fast_convolutions and len(window) == 2 and max(steps) == 1
        return plain.correlate if own else pointwise.correlate
    if groups > 1:
        if depthwise.pays(math.prod(window), inputs, d // groups, groups):
            by_phases = phases.applies(sliding) and phases.number(sliding) <= phases.FEW
            return _depthwise_by_phases if by_phases else depthwise.correlate
        return _by_groups if groups <= grouped.MAX_GROUPS else plain.correlate
    if phases.applies(sliding):
        if phases.pay_apart(d, sliding):
            return phases.correlate
        if phases.pay_joined(d, sliding):
            return phases.correlate_joined
    if len(window) == 3:
        return _by_slices
    if banded.pays(window, inputs, d, sliding):
        return banded.correlate
    if extended.pays(window, inputs, d, sliding):
        return extended.correlate
    return plain.correlate


def _depthwise_by_phases(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    return phases.correlate(x, kernel, sliding=sliding, alone=depthwise.correlate)


def _part(x: Array, kernel: Array, sliding: Sliding) -> Array:
    return correlation_form(kernel.shape, sliding)(x, kernel, sliding=sliding)


def _by_slices(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    return slices.correlate(x, kernel, sliding=sliding, flat=_part)


def _by_groups(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    return grouped.correlate(x, kernel, sliding=sliding, alone=_part)


def _kernel_gradient(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    form = kernel_grad_form(x.shape[0], x.shape[-1], delta.shape[-1], geometry)
    if form is plain.kernel_grad:
        return form(x, delta, geometry=geometry)
    return on_a_cpu(x, delta, cpu=form, default=plain.kernel_grad, geometry=geometry)


def kernel_grad_form(n: int, c: int, d: int, geometry: Geometry) -> Form:
    """How a CPU computes a kernel gradient of n images, of c channels in and d out."""
    groups = geometry.groups
    sizes = *geometry.input, *geometry.output, *geometry.window, c, d
    if not geometry.window or not known(*sizes):
        return plain.kernel_grad
    if max(geometry.input_dilation) > 1 == max(geometry.stride):
        return _kernel_grad_of_dilated
    if geometry.taps == 1 and groups == 1:
        return pointwise.kernel_grad
    if groups > 1:
        if depthwise.pays(geometry.taps, c // groups, d // groups, groups):
            return depthwise.kernel_grad
        return _kernel_grad_by_groups if groups <= grouped.MAX_GROUPS else plain.kernel_grad
    if geometry.axes == 3:
        return _kernel_grad_by_slices
    if known(n) and patches.pays(geometry, n, c, d):
        return patches.kernel_grad
    if known(n) and parts.pays(n, c, d, geometry):
        return parts.kernel_grad
    return extended.kernel_grad if extended.pays_backwards(geometry) else plain.kernel_grad


def _part_of_kernel_grad(x: Array, delta: Array, geometry: Geometry) -> Array:
    form = kernel_grad_form(x.shape[0], x.shape[-1], delta.shape[-1], geometry)
    return form(x, delta, geometry=geometry)


def _kernel_grad_of_dilated(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """Without multiplying by the zeros in a dilated map: x and δ change roles.

    Tap a of output p reads element m of x where p = r·m − a·dilation + low. So the window that
    strides over δ by r, its taps in reverse order, finds at place m what is multiplied by x[m].
    """
    sizes = zip(
        geometry.dilated_input, geometry.output, geometry.extent, geometry.padding, strict=True
    )
    turned = replace(
        geometry,
        input=geometry.output,
        output=geometry.input,
        stride=geometry.input_dilation,
        input_dilation=geometry.stride,
        padding=tuple((e - 1 - low, h - p + low) for h, p, e, (low, _) in sizes),
    )
    gradient = _part_of_kernel_grad(delta, x, turned)
    return _swap_channels(_rot180(gradient, geometry.axes), geometry.groups)


def _kernel_grad_by_slices(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    return slices.kernel_grad(x, delta, geometry=geometry, flat=_part_of_kernel_grad)


def _kernel_grad_by_groups(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    return grouped.kernel_grad(x, delta, geometry=geometry, alone=_part_of_kernel_grad)


def _rot180(kernel: Array, axes: int) -> Array:
    return jnp.flip(kernel, tuple(range(axes)))


def _swap_channels(kernel: Array, groups: int) -> Array:
    """Kh kw c/g (g d/g) → kh kw d/g (g c/g): input and output change roles within each group."""
    *window, c, d = kernel.shape
    kernel = kernel.reshape(*window, c, groups, d // groups)
    return jnp.swapaxes(kernel, -3, -1).reshape(*window, d // groups, groups * c)
