"""Kernels made by LLVM for the problem and the processor: see `jaxcnn.lowering.kernels`."""

import math

from jax import Array, lax

from jaxcnn.lowering import kernels, native
from jaxcnn.lowering.convolution import pointwise
from jaxcnn.lowering.convolution.plain import Map
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import in_one_lane
from jaxcnn.lowering.thresholds import FEW_POINTWISE, LARGE_PRODUCT, MOST_PHASES

# What XLA takes itself for products of 32 bits; other settings ask for fewer bits, or more.
FULL = (None, lax.Precision.DEFAULT, lax.Precision.HIGH, lax.Precision.HIGHEST)


def correlate(x: Array, kernel: Array, *, problem: Problem, otherwise: Map) -> Array:
    """y = x ⋆ k: n h w c, kh kw c/g d → n p q d."""
    plainly = native.Plainly(otherwise, problem)
    return native.correlate(x, kernel, problem.geometry, plainly)


def kernel_grad(x: Array, delta: Array, *, problem: Problem, otherwise: Map) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d."""
    plainly = native.Plainly(otherwise, problem)
    return native.kernel_gradient(x, delta, problem.geometry, plainly)


def cannot(problem: Problem) -> str:
    """Why there is no kernel: for these sizes, for such numbers, or for the processor."""
    precision = problem.geometry.precision
    if any(p not in FULL for p in (precision if isinstance(precision, tuple) else (precision,))):
        return f"products of precision {precision} are not its own"
    return kernels.cannot(problem) or ("" if problem.d else "there are no channels out")


def cannot_sum(problem: Problem) -> str:
    """The same, for kernel gradients."""
    if max(problem.geometry.input_dilation) > 1:
        return "it would multiply by the zeros in the map"
    return cannot(problem)


def slower(problem: Problem) -> str:
    """Why a kernel is slower: the program is not for one device, or registers stay empty."""
    if pointwise.long_in_channels(problem):
        return "so long a sum is more exact in parts"
    if pointwise.of_xla(problem) and problem.inputs > FEW_POINTWISE:
        return "XLA's own code is this product of matrices, as fast"
    phases = math.prod(problem.geometry.input_dilation)
    if phases > MOST_PHASES:
        return f"there are more than {MOST_PHASES:d} phases between the elements of the map"
    if phases > 1 and problem.inputs == problem.outputs == 1:
        return "its loops over the taps of a phase are short"
    return kernels.unwanted(problem, problem.d)


def slower_sum(problem: Problem) -> str:
    """The same, for kernel gradients."""
    if not pointwise.cannot(problem):
        if problem.inputs * problem.outputs > LARGE_PRODUCT:
            return f"a product of more than {LARGE_PRODUCT} sums is as fast"
        places = problem.n * math.prod(problem.geometry.output)
        if in_one_lane(places, problem.inputs, problem.outputs):
            return "so long a sum is more exact in parts"
    return kernels.unwanted(problem, problem.d)
