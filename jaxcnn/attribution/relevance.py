"""Layer-wise relevance propagation: what a unit is worth is shared out among what made it.

Here δ is relevance per unit: a layer whose output y has relevance R passes δ = R / y down, and what
comes out at its input x stands for relevance x • δ. So linear maps, sums of branches and maxima
have their usual backward pass, and rectifiers as well; only products with weights get another one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.attribution.target import Model, Target, chosen, run, scored
from jaxcnn.attribution.walk import Treatments, walked

RULES = ("epsilon", "z+", "alpha-beta")


class Relevance(NamedTuple):
    """Where the output's relevance went; the three sums of an example make u.

    input: R at x, in its shape. biases: what biases kept, one number for each example. epsilon:
    what ε kept. NaN where a function keeps examples elsewhere than along the first axis.
    """

    input: Array
    biases: Array
    epsilon: Array


class _Sharing(NamedTuple):
    """A way of sharing out; the numbers as in `lrp`."""

    epsilon: float
    alpha: float | None
    biases: bool


def lrp(
    net: Model, params: Any, state: Any, x: Any, target: Target = None, *, rule: str = "epsilon",
    epsilon: float = 1e-6, alpha: float = 2.0, biases: bool = True,
) -> Float[Array, "n ..."]:  # fmt: skip
    """R_i = Σ_j z_ij / z_j R_j, z_ij = x_i w_ij and z_j = Σ_i z_ij + b_j, from R = u down to x.

    "epsilon": z_j + ε sign z_j below. "alpha-beta": with positive and negative parts apart,
    R_i = Σ_j (α z⁺_ij / z⁺_j + (1 − α) z⁻_ij / z⁻_j) R_j; a unit that has parts of one sign only
    shares all among those. "z+": α = 1. Activations keep their relevance, maxima give it to the
    first maximum, sums share it out in proportion; so do batch norms, shift and all, with ε.
    Conserved: Σ R_i and what biases and ε keep is u (`relevance` says how much that is); under
    "alpha-beta" and "z+" nothing is kept where biases are zero or left out, but by the ε of batch
    norms, and by units of which every part is zero (it counts among what biases keep).
    Source: Bach, Binder, Montavon, Klauschen, Müller and Samek 2015, "On Pixel-Wise Explanations",
    equations 58 and 60; "z+": Montavon et al. 2017, "Explaining nonlinear classification
    decisions with deep Taylor decomposition".

    Args:
        rule: "epsilon", "z+" or "alpha-beta".
        epsilon: ε.
        alpha: α, at least 1.
        biases: whether b_j counts in z_j, and so keeps a part.

    Raises:
        ValueError: there is an operation that is neither linear, nor an activation, nor a maximum:
            it is named. In a function these are operations of `jax.lax` and of jaxcnn; a bias is an
            addition there, and takes its part before the product does.
    """
    return _relevance("lrp", net, params, state, x, target, rule, epsilon, alpha, biases).input


def relevance(
    net: Model, params: Any, state: Any, x: Any, target: Target = None, *, rule: str = "epsilon",
    epsilon: float = 1e-6, alpha: float = 2.0, biases: bool = True,
) -> Relevance:  # fmt: skip
    """Σ R + biases + epsilon = u: `lrp`, with what biases and ε kept of an example's score.

    Raises:
        ValueError: as `lrp` does.
    """
    return _relevance("relevance", net, params, state, x, target, rule, epsilon, alpha, biases)


def _relevance(op, net, params, state, x, target, rule, epsilon, alpha, biases) -> Relevance:
    check.choice(op, "rule", rule, RULES)
    epsilon = check.positive(op, "epsilon", epsilon)
    alpha = check.number(op, "alpha", alpha, minimum=1)
    check.boolean(op, "biases", biases)
    x = check.float_array(op, "x", x)
    output = run(op, net, params, state)
    choose = chosen(op, output, x, target)
    shares = {"epsilon": None, "z+": 1.0, "alpha-beta": alpha}
    how = _Sharing(epsilon, shares[rule], biases)

    def score(x: Array, kept: Array) -> Array:
        treat = Treatments(
            product=partial(_product, how, kept),
            affine=partial(_affine, how, kept),
            activation=_activation,
            shift=partial(_shift, how, kept),
        )
        return scored(op, lambda x: walked(op, output, x, treat), choose)(x).sum()

    delta, kept = jax.grad(score, (0, 1))(x, jnp.zeros((x.shape[0], 2), x.dtype))
    return Relevance(x * delta, kept[:, 0], kept[:, 1])


# The backward passes ------------------------------------------------------------------------------


def _sums(a: Array, n: int) -> Array:
    """The sum of each of n examples; NaN if they do not stand along the first axis."""
    return a.reshape(n, -1).sum(1) if a.shape[:1] == (n,) else jnp.full(n, jnp.nan, a.dtype)


def _quotient(a: Array, b: Array) -> Array:
    return jnp.where(b == 0, 0, a / jnp.where(b == 0, 1, b))


def _activation(f: Callable[..., Any], x: Array) -> Array:
    """δ y / x: the relevance δ y, per unit of x. 0 at x = 0, where the ratio is undefined."""
    other = jax.custom_vjp(f)
    other.defvjp(lambda x: (f(x), x), lambda x, delta: (_quotient(delta * f(x), x),))
    return other(x)


def _affine(how: _Sharing, kept: Array, f: Callable[..., Any], x: Array) -> Array:
    """An affine map with ε: δ_x = ∂f/∂x applied to R / (z + ε sign z). f(0) stands for its bias."""
    other, n = jax.custom_vjp(lambda kept, x: f(x)), len(kept)

    def back(x: Array, delta: Array) -> Any:
        y, pull = jax.vjp(f, x)
        constant = f(jnp.zeros_like(x))
        z = y if how.biases else y - constant
        end = jnp.where(z < 0, -how.epsilon, how.epsilon).astype(y.dtype)
        share = delta * y / (z + end)
        taken = _sums(share * constant, n) if how.biases else jnp.zeros(n, y.dtype)
        return jnp.stack([taken, _sums(share * end, n)], 1), *pull(share)

    other.defvjp(lambda kept, x: (f(x), x), back)
    return other(kept, x)


def _shift(how: _Sharing, kept: Array, f: Callable[..., Any], *moving: Array) -> Array:
    """A linear map with something added or put in, which keeps its share if biases do."""
    other, n = jax.custom_vjp(lambda kept, *moving: f(*moving)), len(kept)

    def back(moving: tuple[Array, ...], delta: Array) -> Any:
        y, pull = jax.vjp(f, *moving)
        constant = f(*map(jnp.zeros_like, moving))
        if not how.biases:
            return jnp.zeros((n, 2), y.dtype), *pull(_quotient(delta * y, y - constant))
        taken = _sums(delta * constant, n)
        return jnp.stack([taken, jnp.zeros_like(taken)], 1), *pull(delta)

    other.defvjp(lambda kept, *moving: (f(*moving), moving), back)
    return other(kept, *moving)


def _product(
    how: _Sharing, kept: Array, f: Callable[..., Any], x: Array, weights: Any, bias: Any
) -> Array:
    """f(x, weights, bias) that shares out by ε, or by signs."""
    if how.alpha is None:
        return _affine(how, kept, lambda x: f(x, weights, bias), x)
    other, n = jax.custom_vjp(lambda kept, x: f(x, weights, bias)), len(kept)
    other.defvjp(
        lambda kept, x: (f(x, weights, bias), x),
        lambda x, delta: _by_signs(how, f, n, x, weights, bias, delta),
    )
    return other(kept, x)


def _by_signs(
    how: _Sharing, f: Callable[..., Any], n: int, x: Array, weights: Any, bias: Any, delta: Array
) -> tuple[Array, Array]:
    """What biases keep, and δ at x: α R / z⁺ through positive products, (1 − α) R / z⁻ else."""
    assert how.alpha is not None
    relevance = delta * f(x, weights, bias)
    above, below = jnp.maximum(weights, 0), jnp.minimum(weights, 0)
    by_above, back_above = jax.vjp(lambda x: f(x, above, None), jnp.maximum(x, 0))
    by_below, back_below = jax.vjp(lambda x: f(x, below, None), jnp.maximum(x, 0))
    left = jnp.minimum(x, 0)
    plus, minus = by_above + f(left, below, None), by_below + f(left, above, None)
    constant = f(jnp.zeros_like(x), weights, bias)
    if how.biases:
        plus, minus = plus + jnp.maximum(constant, 0), minus + jnp.minimum(constant, 0)
    alpha = jnp.where(minus == 0, 1, jnp.where(plus == 0, 0, how.alpha)).astype(x.dtype)
    up, down = _quotient(alpha * relevance, plus), _quotient((1 - alpha) * relevance, minus)
    ((p,), (q,)), ((r,), (s,)) = (
        (back_above(up), back_below(down)),
        (back_below(up), back_above(down)),
    )
    taken = jnp.where((plus == 0) & (minus == 0), relevance, 0)  # there is nothing to share among
    if how.biases:
        taken = taken + up * jnp.maximum(constant, 0) + down * jnp.minimum(constant, 0)
    sums = _sums(taken, n)
    kept = jnp.stack([sums, jnp.zeros_like(sums)], 1)
    return kept, jnp.where(x < 0, r + s, p + q)
