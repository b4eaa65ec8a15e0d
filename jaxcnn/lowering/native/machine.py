"""The processor at hand, and LLVM, which makes kernels for it while the program is traced."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any, NamedTuple


class Machine(NamedTuple):
    """What a kernel has to know of a processor."""

    name: str
    vector: int
    """Bytes of a vector register."""
    registers: int
    """How many of those there are."""
    threads: int
    """Into how many parts work is cut at least."""


@cache
def here() -> Machine | None:
    """The processor at hand; None where LLVM is missing, or nothing is known of the processor."""
    try:
        import llvmlite.binding as llvm

        features = llvm.get_host_cpu_features()
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        triple = llvm.get_process_triple()
    except (ImportError, OSError, RuntimeError):
        return None
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if features.get("avx512f") and features.get("fma"):
        return Machine("AVX-512", 64, 32, threads or 1)
    if features.get("avx2") and features.get("fma"):
        return Machine("AVX2", 32, 16, threads or 1)
    if triple.startswith(("aarch64", "arm64")):
        return Machine("NEON", 16, 32, threads or 1)
    return None


class Program:
    """Machine code, kept as long as it may be called."""

    def __init__(self, text: str):
        import llvmlite.binding as llvm

        module = llvm.parse_assembly(text)
        module.verify()
        # By itself LLVM takes half of a vector of 512 bits, for the sake of older processors.
        features = f"{llvm.get_host_cpu_features().flatten()},-prefer-256-bit"
        target = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features, opt=2, jit=True
        )
        self._engine: Any = llvm.create_mcjit_compiler(module, target)
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        return self._engine.get_function_address(name)

    def handler(self) -> Any:
        """What `jax.ffi.pycapsule` takes."""
        return ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(self.address("handler"))
