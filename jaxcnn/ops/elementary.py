"""Elementary functions with rules, for use inside other rules.

A rule's backward pass may use sums, products and selections freely; where it needs anything that is
not a polynomial, it calls one of these, so that its own derivative is written by hand as well.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def power(x: Float[Array, "*n"], exponent: float) -> Float[Array, "*n"]:
    """y = xᵖ for x > 0 and a fixed p.  With δ = ∂L/∂y:  ∂x = δ p xᵖ⁻¹."""
    return lax.rsqrt(x) if exponent == -0.5 else jnp.power(x, exponent)


def _power_fwd(x, exponent):
    return power(x, exponent), x


def _power_bwd(exponent, x, delta):
    return (delta * (exponent * power(x, exponent - 1)),)


power.defvjp(_power_fwd, _power_bwd)


@jax.custom_vjp
def exp(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = eˣ.  With δ = ∂L/∂y:  ∂x = δ y."""
    return jnp.exp(x)


def _exp_fwd(x):
    y = exp(x)
    return y, y


def _exp_bwd(y, delta):
    return (delta * y,)


exp.defvjp(_exp_fwd, _exp_bwd)
