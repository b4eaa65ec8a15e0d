"""The kernel gradient of few long rows under a large window: some taps at a time, in a loop.

    w[t] = Σ x[place + t] δ[place]ᵀ

The program is as long for a thousand taps as for a few; with a step for each of them it would take
seconds to compile. As a convolution, few rows would be few channels.
"""

import math

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.lowering.convolution.patches import as_read, few_images
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import every, outer_sum, pad
from jaxcnn.lowering.thresholds import FEW_TAPS, MANY_SLICES


def slower(problem: Problem) -> str:
    """Why a convolution has enough images, or why there are so few taps that patches are faster."""
    if problem.geometry.axes > 1:
        return "over more than one axis of space its patches leave the cache"
    if problem.geometry.taps < MANY_SLICES:
        return f"{problem.geometry.taps} taps are fewer than {MANY_SLICES}"
    return few_images(problem)


def kernel_grad(x: Array, delta: Array, *, problem: Problem, at_once: int = FEW_TAPS) -> Array:
    """w = x ⋆ dilate(δ): n h w c, n p q d → kh kw c d."""
    geometry, c, d = problem.geometry, problem.c, problem.d
    *above, width = geometry.window
    steps = -(-width // at_once)
    taps = -(-width // steps)
    # The last step may read beyond the map; what it makes of it is left out.
    beyond = (steps * taps - width) * geometry.dilation[-1]
    *padding, (low, high) = as_read(geometry)
    x = pad(x, [*padding, (low, high + beyond)], geometry.input_dilation)
    reach = [(p - 1) * s + 1 for p, s in zip(geometry.output, geometry.stride, strict=True)]
    reach[-1] += (taps - 1) * geometry.dilation[-1]
    turned = d < taps * c

    def of_some(number: Array) -> Array:
        *place, step = jnp.unravel_index(number, (*above, steps))
        start = [t * e for t, e in zip([*place, step * taps], geometry.dilation, strict=True)]
        sizes = x.shape[0], *reach, c
        seen = lax.dynamic_slice(x, (0, *start, 0), sizes, allow_negative_indices=False)
        starts = ([*[0] * len(above), t * geometry.dilation[-1]] for t in range(taps))
        parts = [every(seen, start, geometry.stride, geometry.output) for start in starts]
        patches = jnp.concatenate(parts, -1)
        factors = (delta, patches) if turned else (patches, delta)
        return outer_sum(*factors, precision=geometry.precision)

    grad = lax.map(of_some, jnp.arange(math.prod(above) * steps))
    grad = grad.swapaxes(1, 2) if turned else grad
    grad = grad.reshape(*above, steps * taps, c, d)
    return lax.slice_in_dim(grad, 0, width, axis=-3).astype(x.dtype)
