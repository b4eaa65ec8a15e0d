"""Kernels as XLA knows them: written, translated and registered once, after a trial."""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from threading import RLock
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcnn.lowering.native.machine import Machine, Program, here
from jaxcnn.lowering.native.problem import Rows
from jaxcnn.lowering.native.trials import TRIALS, example


class Kernel(NamedTuple):
    """One kernel: which map, and of what sizes."""

    map: str
    problem: Any


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
        except Exception:  # any error of LLVM: there are other forms
            return None


_making = RLock()
_programs: dict[str, Program] = {}  # by name; XLA calls them as long as the process runs


@cache
def _made(kernel: Kernel, machine: Machine) -> Made:
    found = _written(kernel, machine)
    # Programs that XLA keeps on disk know a kernel by its name: so that says what it does.
    name = f"jaxcnn_{kernel.map}_{hashlib.sha256(found.text.encode()).hexdigest()[:16]}"
    if name not in _programs:
        program = _programs[name] = Program(found.text)
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(program.handler()), platform="cpu")
    return Made(name, found.memory, found.kernel_block, _programs[name])


def _written(kernel: Kernel, machine: Machine) -> Any:
    from jaxcnn.lowering.native import correlation, gradient, rows, windows
    from jaxcnn.lowering.native.kernel import write

    if kernel.map in windows.POOLS:
        return windows.write(windows.POOLS[kernel.map], kernel.problem, machine)
    if isinstance(kernel.problem, Rows):
        return rows.write(kernel.map == "row norm gradient", kernel.problem, machine)
    describe = {"gradient": gradient.plan, "correlation": correlation.plan}[kernel.map]
    return write(describe(kernel.problem, machine))


def in_blocks(kernel: Any, size: int, numpy: Any) -> Any:
    """Some channels out after the others, filled up with zeros: kh kw c d → blocks kh kw c size."""
    blocks = -(-kernel.shape[-1] // size)
    beyond = blocks * size - kernel.shape[-1]
    filled = numpy.pad(kernel, [(0, 0)] * (kernel.ndim - 1) + [(0, beyond)])
    return numpy.moveaxis(filled.reshape(*kernel.shape[:-1], blocks, size), -2, 0)


# Bytes behind results, where a kernel must not write, and what they hold.
BEHIND, FILLING = 64, 0xFF


@cache
def _proven(map: str, machine: Machine) -> bool:
    """Whether kernels of a map pass their trials on this machine."""
    trials = (trial for trial in TRIALS if map in trial.maps)
    return all(right(Kernel(map, trial.problem), machine) for trial in trials)


def right(kernel: Kernel, machine: Machine) -> bool:
    """Whether a kernel gives the right results at a small example, and writes nothing else."""
    made = _made(kernel, machine)
    operands, expected = example(kernel.map, kernel.problem)
    if kernel.map == "correlation":
        operands[1] = np.ascontiguousarray(in_blocks(operands[1], made.kernel_block, np))
    results = [np.full(a.nbytes + BEHIND, FILLING, np.uint8) for a in expected]
    arrays = *operands, *results, np.empty(made.memory, np.float64)
    of_arrays = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))
    of_arrays(made.program.address("serial"))(*(a.ctypes.data for a in arrays))
    return all(
        np.allclose(found[: a.nbytes].view(a.dtype), a.ravel(), 1e-5, 1e-5)
        and (found[a.nbytes :] == FILLING).all()
        for found, a in zip(results, expected, strict=True)
    )
