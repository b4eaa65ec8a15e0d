"""Kernels as XLA knows them: written, translated and registered once, and tried before."""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from itertools import product
from threading import RLock
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcnn.lowering.native.machine import Machine, Program, here
from jaxcnn.lowering.native.problem import Problem


class Kernel(NamedTuple):
    """One kernel: which map, "gradient" or "correlation", and of what sizes."""

    map: str
    problem: Problem


class Made(NamedTuple):
    """A kernel that XLA knows by name."""

    name: str
    memory: int
    """Numbers of the memory to work in."""
    kernel_block: int
    """Channels out of a convolution's kernel that have to lie side by side."""
    program: Program


def made(kernel: Kernel) -> Made | None:
    """The kernel for the processor at hand, once for all who ask; None if it cannot serve."""
    machine = here()
    if machine is None:
        return None
    with _making:
        try:
            return _made(kernel, machine) if _proven(kernel.map, machine) else None
        except Exception:  # of LLVM, whatever it is: there are other forms
            return None


_making = RLock()
_programs: dict[str, Program] = {}  # by name; XLA calls them as long as the process runs


@cache
def _made(kernel: Kernel, machine: Machine) -> Made:
    from jaxcnn.lowering.native import correlation, gradient
    from jaxcnn.lowering.native.kernel import write

    describe = {"gradient": gradient.plan, "correlation": correlation.plan}[kernel.map]
    plan = describe(kernel.problem, machine)
    text = write(plan)
    # Programs that XLA keeps on disk know a kernel by its name: so that says what it does.
    name = f"jaxcnn_{kernel.map}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if name not in _programs:
        program = _programs[name] = Program(text)
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(program.handler()), platform="cpu")
    return Made(name, plan.memory, plan.kernel_block, _programs[name])


def in_blocks(kernel: Any, size: int, numpy: Any) -> Any:
    """Some channels out after the others, filled up with zeros: kh kw c d → blocks kh kw c size."""
    blocks = -(-kernel.shape[-1] // size)
    beyond = blocks * size - kernel.shape[-1]
    filled = numpy.pad(kernel, [(0, 0)] * (kernel.ndim - 1) + [(0, beyond)])
    return numpy.moveaxis(filled.reshape(*kernel.shape[:-1], blocks, size), -2, 0)


# Padding, a stride, channels that fill no vector; and groups, several in a vector.
ONES = 1, 1, 1
TRIALS = (
    Problem(2, (1, 5, 6), (1, 3, 6), (1, 3, 3), (1, 2, 1), (0, 1, 1), ONES, ONES, 1, 3, 19, 32),
    Problem(2, (1, 4, 5), (1, 4, 5), (1, 3, 3), ONES, (0, 1, 1), ONES, ONES, 8, 8, 8, 32),
)


@cache
def _proven(map: str, machine: Machine) -> bool:
    """Whether kernels of a map give what they should on this machine."""
    return all(_right(Kernel(map, problem), machine) for problem in TRIALS)


def _right(kernel: Kernel, machine: Machine) -> bool:
    """Compared with sums that are written out, of small whole numbers, which no sum rounds."""
    problem, made = kernel.problem, _made(kernel, machine)
    n, groups, d = problem.images, problem.groups, problem.d // problem.groups
    numbers = np.random.default_rng(0)
    shapes = (n, *problem.input), (*problem.window, problem.c // groups), (n, *problem.output)
    x, taps, delta = (
        numbers.integers(-4, 5, (*shape, channels)).astype(np.float32)
        for shape, channels in zip(shapes, (problem.c, problem.d, problem.d), strict=True)
    )
    y, gradient = np.zeros_like(delta), np.zeros_like(taps)
    for place, tap in product(np.ndindex(*problem.output), np.ndindex(*problem.window)):
        at = np.multiply(place, problem.stride) + np.multiply(tap, problem.dilation) - problem.low
        if (at >= 0).all() and (at < problem.input).all():
            read = x[(slice(None), *at)].reshape(n, groups, -1)
            to = delta[(slice(None), *place)].reshape(n, groups, d)
            y[(slice(None), *place)] += np.einsum(
                "ngc,cgd->ngd", read, taps[tap].reshape(-1, groups, d)
            ).reshape(n, -1)
            gradient[tap] += np.einsum("ngc,ngd->cgd", read, to).reshape(-1, problem.d)
    blocks = np.ascontiguousarray(in_blocks(taps, made.kernel_block, np))
    other, expected = (delta, gradient) if kernel.map == "gradient" else (blocks, y)
    arrays = x, other, np.full_like(expected, np.nan), np.empty(made.memory, np.float32)
    serial = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(made.program.address("serial"))
    serial(*(a.ctypes.data for a in arrays))
    return np.array_equal(arrays[2], expected)
