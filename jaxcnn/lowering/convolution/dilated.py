"""The kernel gradient of a map with zeros between its elements: x and δ change roles.

Tap a of output p reads element m of x where p = r·m − a·dilation + low. So the window that strides
over δ by r, its taps in reverse order, finds at place m what is multiplied by x[m]: without
multiplying by the zeros, of which XLA's CPU backend leaves out none. Zeros around δ stand for
outputs that there are not: they are for finite maps, since 0 · ∞ is NaN.
"""

from dataclasses import replace
from itertools import chain

from jax import Array

from jaxcnn.lowering.convolution import grouped, plain
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import where_finite


def cannot(problem: Problem) -> str:
    """Why there are no zeros to leave out."""
    geometry = problem.geometry
    if max(geometry.input_dilation) == 1:
        return "there are no zeros in the map"
    return "there is a stride" if max(geometry.stride) > 1 else ""


def turned(problem: Problem) -> Problem:
    """The problem with x and δ exchanged."""
    other = problem.left(problem.geometry.transposed)
    return replace(other, c=problem.d, d=problem.c)


def kernel_grad(x: Array, delta: Array, *, problem: Problem, alone: plain.Map) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d."""
    other = turned(problem)

    def exchanged(x: Array, delta: Array) -> Array:
        return plain.turned_kernel(alone(delta, x, problem=other), problem.groups)

    def plainly(x: Array, delta: Array) -> Array:
        return grouped.kernel_grad(x, delta, problem=problem, alone=plain.kernel_grad)

    if max(chain(*other.geometry.padding)) <= 0:
        return exchanged(x, delta)
    return where_finite(x, exchanged, plainly, x, delta)
