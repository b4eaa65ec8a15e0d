"""Kernels that are made while a program is traced, for its shapes and the processor at hand.

LLVM comes as an optional package, `llvmlite`: no user needs a compiler. XLA calls the kernels
through its foreign function interface and lends them its own threads. Where they cannot serve,
another form of the same map takes their place: on other platforms, in programs that are exported or
that XLA partitions, without LLVM, on processors that nobody has described here, and where a kernel
fails its trial before its first use.

  problem      the sizes of a convolution, and how channels fill vectors
  gradient     the kernel gradient, described: loops, tile, vectors
  correlation  the convolution, and so the input gradient
  windows      poolings and their gradients
  rows         layer norm and its gradients
  kernel       what descriptions of convolutions are made of, and the kernel written from one
  tile, slabs  sums that stay in registers; rows of a map, with the padding around them
  handler      how XLA calls a kernel, and how it spreads over threads
  code         loops, addresses and vectors, as LLVM's instructions
  machine      the processor, and machine code for it
  made         kernels as XLA knows them, tried before they are used
  trials       what they have to give
  primitive    what JAX sees of a kernel
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.native.machine import here
from jaxcnn.lowering.native.made import Kernel
from jaxcnn.lowering.native.primitive import Plainly, call
from jaxcnn.lowering.native.problem import ROW_BYTES, Rows, Sizes, lanes_of


def kernel_gradient(x: Array, delta: Array, geometry: Geometry, plainly: Plainly) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d, of a map that is not dilated itself."""
    return call(Kernel("gradient", _problem(x, delta, geometry)), plainly, x, delta)[0]


def correlate(x: Array, kernel: Array, geometry: Geometry, plainly: Plainly) -> Array:
    """x ⋆ k: n h w c, kh kw c/g d → n p q d."""
    return call(Kernel("correlation", _problem(x, kernel, geometry)), plainly, x, kernel)[0]


def pool(map: str, geometry: Geometry, plainly: Plainly, x: Array, *others: Array) -> list[Array]:
    """A map over pooling windows, or its gradient: `jaxcnn.lowering.native.windows.POOLS`."""
    return call(Kernel(map, _problem(x, x, geometry)), plainly, x, *others)


def norm_rows(map: str, epsilon: float, plainly: Plainly, x: Array, *others: Array) -> list[Array]:
    """Layer norm of rows, n c, or its gradients: `jaxcnn.lowering.native.rows`."""
    problem = Rows(x.shape[0], x.shape[1], jnp.finfo(x.dtype).bits, epsilon)
    return call(Kernel(map, problem), plainly, x, *others)


def fits(row_bytes: int) -> bool:
    """Whether a row of this many bytes fills a vector and fits into the first-level cache."""
    machine = here()
    return machine is not None and machine.vector <= row_bytes <= ROW_BYTES


def _problem(x: Array, other: Array, geometry: Geometry) -> Sizes:
    bits = jnp.finfo(x.dtype).bits
    return Sizes.of(x.shape[0], x.shape[-1], other.shape[-1], bits, geometry)


def obstacle() -> str:
    """Why there are no kernels here; empty if there are."""
    return "" if here() else "llvmlite is missing, or nothing is known of the processor"


def filled(geometry: Geometry, c: int, d: int, dtype: DTypeLike) -> float:
    """The share of the lanes of a vector that hold channels out, where there are kernels."""
    machine, bits = here(), jnp.finfo(dtype).bits
    if machine is None:
        return 0.0
    lanes = lanes_of(Sizes.of(1, c, d, bits, geometry), 8 * machine.vector // bits)
    held = (lanes.vectors - 1) * lanes.step + lanes.last
    return held / lanes.vectors / (8 * machine.vector // bits)
