"""Kernels made by LLVM for the problem and the processor at hand, where the extra is installed.

They are for programs of `jaxcnn.jit` on one device: XLA cannot partition a kernel. Inside
`jax.shard_map` each device has its own. Where the program is lowered for something else after all,
such as another platform or an export, what is passed as `otherwise` takes their place.
"""

import math

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.lowering import native
from jaxcnn.lowering.convolution.plain import Map
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.thresholds import FILLED, MOST_PHASES
from jaxcnn.sizes import known

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
    """Sizes, numbers and processors that no kernel is for."""
    geometry = problem.geometry
    sizes = *geometry.input, *geometry.output, *geometry.window, problem.n, problem.c, problem.d
    if not known(*sizes, *(p for pads in geometry.padding for p in pads)):
        return "kernels are made for sizes that are known"
    if geometry.axes > 3 or 0 in sizes:
        return "there are more than three axes of space, or nothing to compute"
    if problem.dtype not in (jnp.float32, jnp.float64):
        return f"kernels are for float32 and float64, not for {problem.dtype}"
    precision = geometry.precision
    if any(p not in FULL for p in (precision if isinstance(precision, tuple) else (precision,))):
        return f"products of precision {precision} are not its own"
    return native.obstacle()


def cannot_sum(problem: Problem) -> str:
    """The same, for kernel gradients."""
    if max(problem.geometry.input_dilation) > 1:
        return "it would multiply by the zeros in the map"
    return cannot(problem)


def slower(problem: Problem) -> str:
    """Programs that are not compiled for one device, and sizes that leave registers empty."""
    if problem.geometry.taps == 1:
        return "a window of one element is a product of matrices"
    if not problem.told:
        return "the program is not one of jaxcnn.jit"
    if problem.spread:
        return "XLA would gather the maps on every device"
    if not problem.kernels:
        return "kernels are not wanted"
    phases = math.prod(problem.geometry.input_dilation)
    if phases > MOST_PHASES:
        return f"there are more than {MOST_PHASES:d} phases between the elements of the map"
    if phases > 1 and problem.inputs == problem.outputs == 1:
        return "its loops over the taps of a phase are short"
    filled = 100 * native.filled(problem.geometry, problem.c, problem.d, problem.dtype)
    if filled <= FILLED:
        return f"{filled:.0f} % of a vector's lanes hold channels out, no more than {FILLED:d} %"
    return ""
