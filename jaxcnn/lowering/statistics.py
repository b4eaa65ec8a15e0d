"""Means, variances and mean squares that are right at every scale, and for numbers far from 0.

Σx and Σx², straight from x, are one pass over a map. They serve where squares neither overflow nor
vanish and the mean is no more than 8σ away from 0: E[x²] − μ² loses as many digits as E[x²] is
larger than σ². Elsewhere, and for what is not finite, numbers are first divided by a power of two
u near the largest of them, and the squares are those of differences from the mean. All numbers that
share statistics go the same way, whichever device they are on. The same holds for Σδ(x − μ).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap
from jaxtyping import Float

from jaxcnn.lowering.places import on_a_cpu
from jaxcnn.lowering.sharding import is_spread, vary_together

AxisName = str | tuple[str, ...]

MOST = 64  # E[x²]/σ² up to which E[x²] − μ² serves


class Moments(NamedTuple):
    """μ = near + left, a sum that would be rounded, and σ²; axes stay, with one element each."""

    inverse: Array  # 1/u, a power of two
    near: Array
    left: Array
    variance: Array  # of x/u


@partial(jax.jit, static_argnames=("axes", "epsilon", "axis_name"))
def moments(
    x: Array, axes: tuple[int, ...], epsilon: float, axis_name: AxisName | None = None
) -> Moments:
    """The moments of x over axes and over the places of a mapped axis, for 1/√(σ² + ε)."""
    f = partial(_moments, epsilon=epsilon, axis_name=axis_name)
    return f(x, axes=axes) if axis_name is not None else _all_at_once(f, axes, x)


@partial(jax.jit, static_argnames=("axes", "epsilon", "axis_name"))
def mean_square(
    x: Array, axes: tuple[int, ...], epsilon: float, axis_name: AxisName | None = None
) -> tuple[Array, Array]:
    """1/u, and mean((x/u)²) over axes and places, for 1/√(mean(x²) + ε)."""
    f = partial(_mean_square, epsilon=epsilon, axis_name=axis_name)
    return f(x, axes=axes) if axis_name is not None else _all_at_once(f, axes, x)


def gradient_sums(
    delta: Float[Array, "*n"], x: Float[Array, "*n"], mean: Float[Array, "*s"],
    variance: Float[Array, "*s"], inverse: Float[Array, "*s"], axes: tuple[int, ...],
) -> tuple[Float[Array, "*m"], Float[Array, "*m"]]:  # fmt: skip
    """b = Σδ and s = Σδ(x/u − μ) over axes, which stay; where σ² allows it, s is Σδx − μΣδ.

    XLA's CPU backend writes x/u − μ to memory, and reads Σδx and Σδ straight from the maps.
    """
    if is_spread(x):  # the condition would be one more sum over the devices
        return centred_sums(delta, x, mean, variance, inverse, axes)
    return _gradient_sums(delta, x, mean, variance, inverse, axes=axes)


def centred_sums(
    delta: Array, x: Array, mean: Array, variance: Array, inverse: Array, axes: tuple[int, ...]
) -> tuple[Array, Array]:
    """The same, as the formula has it."""
    del variance
    mean, unit = (jnp.broadcast_to(a, x.shape) for a in (mean, lax.stop_gradient(inverse)))
    products = delta * (x * unit - mean)
    return delta.sum(axes, keepdims=True), products.sum(axes, keepdims=True)


@partial(jax.jit, static_argnames=("axes",))
def _gradient_sums(*arrays: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    cpu = partial(_all_at_once, _either_sums, axes)
    return on_a_cpu(*arrays, cpu=cpu, default=partial(centred_sums, axes=axes))


def _either_sums(
    delta: Array, x: Array, *statistics: Array, axes: tuple[int, ...]
) -> tuple[Array, Array]:
    mean, variance, inverse = statistics
    total = delta.sum(axes, keepdims=True)

    def straight(delta: Array, x: Array, *_: Array) -> tuple[Array, Array]:
        products = (delta * x).sum(axes, keepdims=True)
        return total, products - jnp.broadcast_to(mean, total.shape) * total

    serves = (inverse == 1) & (mean * mean <= (MOST - 1) * variance)
    serves = serves.all() & jnp.isfinite(total).all()
    return lax.cond(serves, straight, partial(centred_sums, axes=axes), delta, x, *statistics)


def scaled_epsilon(epsilon: float, inverse: Array) -> Array:
    """ε/u², but more than 0, since numbers that are all the same have no variance."""
    root = epsilon**0.5 * inverse
    least = jnp.full_like(root, jnp.finfo(root.dtype).tiny)
    return jnp.where(root * root < least, least, root * root)  # arithmetic, as rules call it


def _all_at_once(f: Callable[..., Any], axes: tuple[int, ...], *arrays: Array) -> Any:
    """f(*arrays, axes=axes), where a batch under `jax.vmap` takes one branch, not both for each."""

    @custom_vmap
    def of(*arrays: Array) -> Any:
        return f(*arrays, axes=axes)

    @of.def_vmap
    def _(size, batched, *arrays):
        whole = [
            a if is_batched else jnp.broadcast_to(a, (size, *a.shape))
            for a, is_batched in zip(arrays, batched, strict=True)
        ]
        y = _all_at_once(f, tuple(axis + 1 for axis in axes), *whole)
        return y, jax.tree.map(lambda _: True, y)

    return of(*arrays)


def _moments(
    x: Array, axes: tuple[int, ...], epsilon: float, axis_name: AxisName | None
) -> Moments:
    mean = partial(_mean, axes=axes, axis_name=axis_name)

    def straight(x: Array, average: Array, variance: Array) -> Moments:
        return Moments(jnp.ones_like(average), average, jnp.zeros_like(average), variance)

    def exact(x: Array, *_: Array) -> Moments:
        low, high = (_largest(a, axes, axis_name) for a in (-x, x))
        inverse = inverse_unit(jnp.maximum(jnp.maximum(low, high), epsilon**0.5))
        # From the middle of their range, which is the number itself where all are the same.
        middle = 0.5 * (high * inverse - low * inverse)
        near = middle + mean(x * inverse - middle)
        centred = x * inverse - near
        left = mean(centred)
        variance = jnp.maximum(mean(centred * centred) - left * left, 0)
        return Moments(inverse, near / inverse, left / inverse, variance)

    if _apart(x, axes):
        return exact(x)
    average, square = mean(x), mean(x * x)
    variance = jnp.maximum(square - average * average, 0)
    serves = _in_range(square, epsilon) & (square <= MOST * variance)
    return lax.cond(serves.all(), straight, exact, x, average, variance)


def _mean_square(
    x: Array, axes: tuple[int, ...], epsilon: float, axis_name: AxisName | None
) -> tuple[Array, Array]:
    mean = partial(_mean, axes=axes, axis_name=axis_name)

    def straight(x: Array, square: Array) -> tuple[Array, Array]:
        return jnp.ones_like(square), square

    def exact(x: Array, *_: Array) -> tuple[Array, Array]:
        inverse = inverse_unit(jnp.maximum(_largest(jnp.abs(x), axes, axis_name), epsilon**0.5))
        z = x * inverse
        return inverse, mean(z * z)

    if _apart(x, axes):
        return exact(x)
    square = mean(x * x)
    return lax.cond(_in_range(square, epsilon).all(), straight, exact, x, square)


def _apart(x: Array, axes: tuple[int, ...]) -> bool:
    """Whether devices have statistics of their own, so that the condition alone would be shared."""
    return 0 not in axes and is_spread(x)


def _in_range(square: Array, epsilon: float) -> Array:
    """Whether this mean of squares neither overflowed nor vanished; false for a NaN.

    Third derivatives contain r⁷, which must be a number too. Squares that vanish beside ε may.
    """
    least = float(jnp.finfo(square.dtype).tiny) ** 0.25
    return (square + epsilon >= least) & (square <= 1 / least)


def inverse_unit(most: Array) -> Array:
    """1/u, u a power of two near each of the sizes; 1 where a size is not finite."""
    finfo = jnp.finfo(most.dtype)
    most = jnp.where(jnp.isfinite(most), most, jnp.ones_like(most))
    most = jnp.clip(most, finfo.tiny, 1 / finfo.tiny)
    return 1 / lax.reduce_precision(most, exponent_bits=finfo.nexp, mantissa_bits=0)


def _mean(x: Array, axes: tuple[int, ...], axis_name: AxisName | None) -> Array:
    mean = x.mean(axes, keepdims=True)
    return mean if axis_name is None else vary_together(lax.pmean(mean, axis_name), x)[0]


def _largest(x: Array, axes: tuple[int, ...], axis_name: AxisName | None) -> Array:
    most = x.max(axes, keepdims=True)
    return most if axis_name is None else vary_together(lax.pmax(most, axis_name), x)[0]
