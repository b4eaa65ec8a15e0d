"""Norms of rows, the last axes of a map, by kernels: see `jaxcnn.lowering.kernels`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxcnn import hints
from jaxcnn.lowering import native
from jaxcnn.lowering.sharding import is_spread
from jaxcnn.sizes import known


@dataclass(frozen=True)
class Rows:
    """How many there are, and what the plain form has to know of them."""

    n: int
    plainly: Callable[..., Any] | None = None
    setting: Any = None


def served(x: Array, axes: tuple[int, ...], *parameters: Array | None) -> bool:
    """Whether kernels serve x and are wanted: each row has its own statistics, one γ and one β."""
    begin = axes[0]
    if begin == 0 or axes != tuple(range(begin, x.ndim)) or not known(*x.shape):
        return False
    if any(p is not None and p.shape != x.shape[begin:] for p in parameters):
        return False
    size = math.prod(x.shape[begin:]) * x.dtype.itemsize
    return (
        x.dtype in (jnp.float32, jnp.float64)
        and x.size > 0
        and native.fits(size)
        and hints.fast_convolutions.value
        and hints.kernels.value
        and "plain" not in hints.forms.value
        and not is_spread(x)
    )


def normalised(
    plainly: Callable[..., Any], x: Array, scale: Array | None, bias: Array | None,
    axes: tuple[int, ...], epsilon: float, setting: Any,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """y, and of each row μ and σ² of x/u, and 1/u; or plainly(rows, γ, β, setting)."""
    count = math.prod(x.shape[: axes[0]])
    problem = Rows(count, plainly, setting)
    scale, bias = (
        jnp.full(x.shape[axes[0] :], value, x.dtype) if given is None else given
        for given, value in ((scale, 1), (bias, 0))
    )
    arrays = x.reshape(count, -1), scale.reshape(-1), bias.reshape(-1)
    plain_form = native.Plainly(_by_form, problem)
    found = native.norm_rows("row norm", epsilon, plain_form, *arrays)
    shape = (*x.shape[: axes[0]], *(1,) * len(axes))
    mean, variance, inverse = (s.reshape(shape) for s in found[1:])
    return found[0].reshape(x.shape), mean, variance, inverse


def gradients(
    x: Array, delta: Array, of_rows: tuple[Array, ...], scale: Array | None, axes: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """∂x = p g + s − p mean(g) + x̂(t − p mean(g x̂)), ∂γ = Σδx̂, ∂β = Σδ; x̂ = x p − q, g = γδ.

    p, q, s, t are numbers of each row.
    """
    count, shape = math.prod(x.shape[: axes[0]]), x.shape[axes[0] :]
    scale = jnp.ones(shape, x.dtype) if scale is None else scale
    arrays = x.reshape(count, -1), delta.reshape(count, -1), *(a.reshape(-1) for a in of_rows)
    plainly = native.Plainly(_gradients, Rows(count))
    found = native.norm_rows("row norm gradient", 1.0, plainly, *arrays, scale.reshape(-1))
    delta_x, delta_scale, delta_bias = found
    return delta_x.reshape(x.shape), delta_scale.reshape(shape), delta_bias.reshape(shape)


def _by_form(x: Array, scale: Array, bias: Array, *, problem: Rows) -> tuple[Array, ...]:
    assert problem.plainly is not None
    y, *statistics = problem.plainly(x, scale, bias, problem.setting)
    return y, *(s.reshape(-1) for s in statistics)


def _gradients(
    x: Array, delta: Array, p: Array, q: Array, s: Array, t: Array, scale: Array, *, problem: Rows
) -> tuple[Array, Array, Array]:
    del problem
    p, q, s, t = (a[:, None] for a in (p, q, s, t))
    normalised, g = x * p - q, delta * scale[None]
    share = 1 / x.shape[1]  # a part of p may be too small for a number
    shift = s - p * (share * g.sum(1, keepdims=True))
    slope = t - p * (share * (g * normalised).sum(1, keepdims=True))
    return p * g + shift + normalised * slope, (delta * normalised).sum(0), delta.sum(0)
