"""Convolutions with kernels of one element: a product of matrices, with all places as its rows.

XLA's CPU backend would take them as convolutions, two to seven times slower.
"""

import math

import jax
from jax import Array, lax

from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import at_once, in_one_lane, long_sum, outer_sum, pad
from jaxcnn.lowering.precision import accumulator, as_halves
from jaxcnn.lowering.thresholds import FEW_PARTS, PLACES
from jaxcnn.sizes import known


def cannot(problem: Problem) -> str:
    """Why this is no product of matrices."""
    if problem.geometry.taps > 1:
        return "a window has several elements"
    return "there are groups" if problem.groups > 1 else ""


def cannot_correlate(problem: Problem) -> str:
    """Why this is no product of matrices, not even one with zeros around its rows."""
    strided, gaps = max(problem.geometry.stride) > 1, max(problem.geometry.input_dilation) > 1
    return cannot(problem) or ("a stride meets zeros in the map" if strided and gaps else "")


def slower(problem: Problem) -> str:
    """Why XLA's convolution is faster."""
    if long_in_channels(problem):
        return ""
    if problem.fast and not problem.halves and of_xla(problem):
        return "XLA's own code is this product, spread better over processors"
    return ""


def long_in_channels(problem: Problem) -> bool:
    """Whether a sum over channels is so long, for so few results, that others are inexact."""
    places = problem.n * math.prod(problem.geometry.output)
    return not cannot(problem) and in_one_lane(problem.inputs, places, problem.outputs)


def of_xla(problem: Problem) -> bool:
    """Whether XLA's own code, where it is used, takes the convolution as a product."""
    geometry = problem.geometry
    steps = *geometry.stride, *geometry.input_dilation
    return not cannot(problem) and geometry.axes == 2 and max(steps) == 1


def correlate(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """y = x k at every stride-th place: n h w c, 1 1 c d → n p q d."""
    geometry = problem.geometry
    strided = max(geometry.stride) > 1
    if strided:  # choose places first, which leaves fewer; put zeros in last
        x = _every_stride(pad(x, geometry.padding), geometry.stride)
    dtype, weight = x.dtype, kernel.reshape(kernel.shape[-2:])
    if problem.halves:
        x, weight = as_halves(x, weight)
    if long_in_channels(problem):
        y = long_sum(x.reshape(-1, x.shape[-1]).T, weight).reshape(*x.shape[:-1], -1)
    else:
        y = lax.dot_general(
            x,
            weight,
            (((geometry.axes + 1,), (0,)), ((), ())),
            precision=geometry.precision,
            preferred_element_type=accumulator(x.dtype),
        )
    y = y.astype(dtype)
    return y if strided else pad(y, geometry.padding, geometry.input_dilation)


def kernel_grad(x: Array, delta: Array, *, problem: Problem, places: int = PLACES) -> Array:
    """w = Σ over examples and places of x δᵀ: n h w c, n p q d → 1 1 c d."""
    geometry = problem.geometry
    x = _every_stride(pad(x, geometry.padding, geometry.input_dilation), geometry.stride)
    if in_one_lane(math.prod(x.shape[:-1]), x.shape[-1], delta.shape[-1]):
        grad = long_sum(x, delta).astype(x.dtype)
        return grad.reshape(*geometry.window, *grad.shape)
    dtype = x.dtype
    if problem.halves:
        x, delta = as_halves(x, delta)
    parts = _parts(x.shape, delta.shape[-1], places)
    x, delta = (a.reshape(parts, -1, a.shape[-1]) for a in (x, delta))
    c, d = x.shape[-1], delta.shape[-1]
    factors = (x, delta) if c <= d else (delta, x)
    grad = outer_sum(*factors, beside=1, precision=geometry.precision).sum(0).astype(dtype)
    return (grad if c <= d else grad.T).reshape(*geometry.window, c, d)


def _parts(x: tuple[int, ...], d: int, places: int) -> int:
    """Into how many products the sum over places is cut, of a map x and d output channels.

    The processors share the result of a product; where that is small and the sum is long, it is
    better that they share the sum. Devices keep their own images.
    """
    n, *space, c = x
    if not known(n):
        return 1
    parts = at_once(n, FEW_PARTS // jax.device_count())
    return parts if n * math.prod(space) >= parts * places * max(c, d) else at_once(n, 1)


def _every_stride(x: Array, stride: tuple[int, ...]) -> Array:
    return x[(slice(None), *(slice(None, None, s) for s in stride))]
