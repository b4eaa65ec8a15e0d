"""DeepLIFT: slopes between two inputs in the place of slopes at one."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.attribution.gradients import reference
from jaxcnn.attribution.target import Model, Target, chosen, run, scored
from jaxcnn.attribution.walk import Treatments, walked

LEAST = 1e-10
"""Inputs that differ by less have the slope at the input: a quotient would be rounding."""


def deep_lift(
    net: Model, params: Any, state: Any, x: Any, target: Target = None, *, baseline: Any = 0.0
) -> Float[Array, "n ..."]:
    """A = (x − x₀) • m, m = ∂u/∂x with (f(x) − f(x₀)) / (x − x₀) for the slope of each activation.

    Backward, δ over both inputs' common path: an activation passes δ Δy/Δx on; a maximum gives
    δ (max(y, y₀) − y₀) to its element that wins in x and δ (y − max(y, y₀)) to that which wins in
    x₀, each divided by Δx. So Σ A = u(x) − u(x₀).
    Source: Shrikumar, Greenside and Kundaje 2017, "Learning Important Features Through Propagating
    Activation Differences", section 3.5.1 (rescale); maxima: as their own code has them.

    Args:
        baseline: x₀, a number or an array of the shape of x or of an example.

    Raises:
        ValueError: there is an operation that is neither linear, nor an activation, nor a maximum:
            it is named; or the batch does not stay in front.
    """
    op = "deep_lift"
    x = check.float_array(op, "x", x)
    output = run(op, net, params, state)
    choose = chosen(op, output, x, target)
    start = reference(op, baseline, x)
    treat = Treatments(activation=_activation(len(x)), maximum=_maximum(len(x)))

    # Both inputs go through the network as one batch: each activation sees the two.
    def difference(both: Array) -> Any:
        return jax.tree.map(lambda y: _halves(len(x), y)[0], walked(op, output, both, treat))

    def score(both: Array) -> Array:
        return scored(op, lambda x: difference(both), choose)(x).sum()

    multiplier = jax.grad(score)(jnp.concatenate([x, start]))[: len(x)]
    return (x - start) * multiplier


def _halves(n: int, a: Array) -> tuple[Array, Array]:
    if a.ndim == 0 or len(a) != 2 * n:
        raise ValueError(
            f"deep_lift: net must keep the batch as its first axis, {2 * n} examples here, "
            f"got {a.shape} inside"
        )
    return a[:n], a[n:]


def _by(other: Callable[..., Array]) -> Callable[..., Array]:
    """A treatment whose backward pass gets f, the input and δ, and answers for the first half."""

    def treatment(f: Callable[[Array], Array], x: Array) -> Array:
        ruled = jax.custom_vjp(f)

        def back(x: Array, delta: Array) -> tuple[Array]:
            found = other(f, x, delta)
            return (jnp.concatenate([found, jnp.zeros_like(found)]),)

        ruled.defvjp(lambda x: (f(x), x), back)
        return ruled(x)

    return treatment


def _quotient(change: Array, step: Array, slope: Array) -> Array:
    near = jnp.abs(step) < LEAST
    return jnp.where(near, slope, change / jnp.where(near, 1, step))


def _activation(n: int) -> Callable[..., Array]:
    def back(f: Callable[[Array], Array], x: Array, delta: Array) -> Array:
        y, pull = jax.vjp(f, x)
        (here, there), (now, then) = _halves(n, x), _halves(n, y)
        return _quotient(delta[:n] * (now - then), here - there, pull(delta)[0][:n])

    return _by(back)


def _maximum(n: int) -> Callable[..., Array]:
    def back(f: Callable[[Array], Array], x: Array, delta: Array) -> Array:
        y, pull = jax.vjp(f, x)
        (here, there), (now, then) = _halves(n, x), _halves(n, y)
        most, upper = jnp.maximum(now, then), delta[:n]
        shares = jnp.concatenate([upper * (most - then), upper * (now - most)])
        gained, lost = _halves(n, pull(shares)[0])
        return _quotient(gained + lost, here - there, pull(delta)[0][:n])

    return _by(back)
