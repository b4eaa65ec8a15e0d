"""Where kernels that LLVM makes can compute a problem, and where they are wanted.

They are for programs of `jaxcnn.jit` on one device: XLA cannot partition a kernel. Inside
`jax.shard_map` each device has its own. Where the program is lowered for something else after all,
such as another platform or an export, what is passed as `otherwise` takes their place.
"""

import math

import jax.numpy as jnp

from jaxcnn.lowering import native
from jaxcnn.lowering.problem import Problem
from jaxcnn.lowering.thresholds import FILLED
from jaxcnn.sizes import known


def cannot(problem: Problem) -> str:
    """Why there is no kernel: for these sizes, for such numbers, or for the processor."""
    geometry = problem.geometry
    sizes = *geometry.input, *geometry.output, *geometry.window, problem.n, problem.c
    if not known(*sizes, *(p for pads in geometry.padding for p in pads)):
        return "kernels are made for sizes that are known"
    if geometry.axes > 3 or math.prod(sizes) == 0:
        return "there are more than three axes of space, or nothing to compute"
    if problem.dtype not in (jnp.float32, jnp.float64):
        return f"kernels are for float32 and float64, not for {problem.dtype}"
    return native.obstacle()


def unwanted(problem: Problem, channels: int) -> str:
    """Why none is wanted: the program is not for one device, or channels leave registers empty."""
    if not problem.told:
        return "the program is not one of jaxcnn.jit"
    if problem.spread:
        return "XLA would gather the maps on every device"
    if not problem.kernels:
        return "kernels are not wanted"
    filled = 100 * native.filled(problem.geometry, problem.c, channels, problem.dtype)
    if filled <= FILLED:
        return f"{filled:.0f} % of a vector's lanes hold channels out, no more than {FILLED:d} %"
    return ""
