"""Convolutions over three axes as convolutions over two: what a window sees becomes channels.

XLA's CPU backend is several times slower over three axes of space than over two. A window of depth
k sees k slices of a volume. Beside each other, they are one map of k·c channels, and the outputs
along the first axis are examples:

    x'[(n p), h, w, (a c)] = x[n, p·s + a·e, h, w, c],    k'[…, (a c), d] = k[a, …, c, d]
"""

from dataclasses import replace

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.lowering.convolution.plain import Map
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import pad


def cannot(problem: Problem) -> str:
    """Why the convolution cannot be taken in slices."""
    if problem.geometry.axes != 3:
        return "there are not three axes of space"
    return "there are groups" if problem.groups > 1 else ""


def of_two_axes(problem: Problem) -> Problem:
    """The problem over the other two axes: outputs along the first are examples, taps channels."""
    g = problem.geometry
    geometry = replace(
        g,
        input=g.input[1:],
        window=g.window[1:],
        output=g.output[1:],
        stride=g.stride[1:],
        padding=g.padding[1:],
        dilation=g.dilation[1:],
        input_dilation=g.input_dilation[1:],
    )
    return problem.left(geometry, n=problem.n * g.output[0], c=problem.c * g.window[0])


def correlate(x: Array, kernel: Array, *, problem: Problem, flat: Map) -> Array:
    """y = x ⋆ k: n t h w c, kt kh kw c d → n p q r d; `flat` is that over two axes."""
    taps, *window, c, d = kernel.shape
    maps = _beside_each_other(x, problem)
    kernel = jnp.moveaxis(kernel, 0, -3).reshape(*window, taps * c, d)
    y = flat(maps, kernel, problem=of_two_axes(problem))
    return y.reshape(x.shape[0], problem.geometry.output[0], *y.shape[1:])


def kernel_grad(x: Array, delta: Array, *, problem: Problem, flat: Map) -> Array:
    """w = x ⋆ dilate(δ): n t h w c, n p q r d → kt kh kw c d."""
    taps, *window = problem.geometry.window
    maps, delta = _beside_each_other(x, problem), delta.reshape(-1, *delta.shape[2:])
    grad = flat(maps, delta, problem=of_two_axes(problem))
    return jnp.moveaxis(grad.reshape(*window, taps, problem.c, problem.d), -3, 0)


def _beside_each_other(x: Array, problem: Problem) -> Array:
    """x': what each output along the first axis sees."""
    geometry = problem.geometry
    stride, dilation = geometry.stride[0], geometry.dilation[0]
    x = pad(x, (geometry.padding[0], (0, 0), (0, 0)), (geometry.input_dilation[0], 1, 1))
    reach = (geometry.output[0] - 1) * stride + 1
    starts = (a * dilation for a in range(geometry.window[0]))
    seen = [lax.slice_in_dim(x, start, start + reach, stride, axis=1) for start in starts]
    maps = jnp.concatenate(seen, -1)
    return maps.reshape(-1, *maps.shape[2:])
