"""The three maps of the trilinear form ⟨x ⋆ k, δ⟩. How each is computed depends on sizes: the forms
that there are, and when each is taken, are the tables of `jaxcnn.lowering.convolution.table`.

All are written with the canonical dimension numbers (batch, space, channels) and explicit
transposes. JAX's own kernel gradient asks for the same convolution with other dimension numbers,
which XLA's CPU backend runs several times slower, and some seventy times slower inside a loop.

Letters: n batch, c channels in, d channels out, g groups, h/w input, p/q output, k taps.
"""

from typing import Any

from jax import Array

from jaxcnn import check
from jaxcnn.geometry import Geometry
from jaxcnn.lowering.convolution.plain import turned_kernel
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.convolution.table import CORRELATIONS, INPUT_GRADS, KERNEL_GRADS, guarded
from jaxcnn.lowering.forms import choose, compute, names
from jaxcnn.lowering.sharding import Entries, declared

TABLES = {
    "correlation": CORRELATIONS,
    "input gradient": INPUT_GRADS,
    "kernel gradient": KERNEL_GRADS,
}


def check_method(op: str, name: str, value: Any) -> None:
    """Raise unless some form of a convolution has this name, or it is "direct"."""
    check.choice(op, name, value, ("direct", *names(TABLES.values())))


def correlate(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """x ⋆ k: n h w c, kh kw c/g d → n p q d."""

    def forward(x: Array, kernel: Array) -> Array:
        problem = Problem.of(geometry, x, kernel.shape[-1])
        factors = problem.factors(x, kernel)
        return compute("correlation", CORRELATIONS, problem, *factors, guarded=guarded)

    return declared(forward, lambda x, k: (x[0], *(None,) * geometry.axes, k[-1]), x, kernel)


def input_grad(delta: Array, kernel: Array, geometry: Geometry) -> Array:
    """full(dilate(δ), rot180(k)): n p q d, kh kw c/g d → n h w c."""
    channels = kernel.shape[-2] * geometry.groups

    def backward(delta: Array, kernel: Array) -> Array:
        problem = Problem.of(geometry.transposed, delta, channels)
        if choose(INPUT_GRADS, problem)[0].name != "fft":  # which reads the kernel as it is
            kernel = turned_kernel(kernel, geometry.groups)
        factors = problem.factors(delta, kernel)
        return compute("input gradient", INPUT_GRADS, problem, *factors, guarded=guarded)

    def result(delta: Entries, kernel: Entries) -> Entries:
        channels = kernel[-2] if geometry.groups == 1 else None
        return (delta[0], *(None,) * geometry.axes, channels)

    return declared(backward, result, delta, kernel)


def kernel_grad(x: Array, delta: Array, geometry: Geometry) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d."""

    def backward(x: Array, delta: Array) -> Array:
        problem = Problem.of(geometry, x, delta.shape[-1])
        return compute("kernel gradient", KERNEL_GRADS, problem, *problem.factors(x, delta))

    def result(x: Entries, delta: Entries) -> Entries:
        channels = x[-1] if geometry.groups == 1 else None
        return (*(None,) * geometry.axes, channels, delta[-1])

    return declared(backward, result, x, delta)
