"""Elementary functions with rules, for use inside other rules.

A rule's backward pass may use sums, products and selections freely; where it needs anything that is
not a polynomial, it calls one of these, so that its own derivative is written by hand as well.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.lowering.statistics import inverse_unit


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def power(x: Float[Array, "*n"], exponent: float) -> Float[Array, "*n"]:
    """y = xᵖ, p a constant.  With δ = ∂L/∂y:  ∂x = δ p xᵖ⁻¹, and 0 everywhere for p = 0."""
    return lax.rsqrt(x) if exponent == -0.5 else jnp.power(x, exponent)


def _power_fwd(x, exponent):
    return power(x, exponent), x


def _power_bwd(exponent, x, delta):
    if exponent == 0:  # at x = 0 the formula reads 0 · ∞
        return (jnp.zeros_like(delta),)
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


@jax.custom_vjp
def sigmoids(x: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """s = sigmoid(x) and r = sigmoid(−x) = 1 − s, both to the last digit, by one exponential.

    With δₛ = ∂L/∂s, δᵣ = ∂L/∂r:  ∂x = (δₛ − δᵣ) s r.
    """
    small = jnp.exp(-jnp.abs(x))
    above = 1 / (1 + small)
    below = small * above
    return jnp.where(x >= 0, above, below), jnp.where(x >= 0, below, above)


def _sigmoids_fwd(x):
    y = sigmoids(x)
    return y, y


def _sigmoids_bwd(y, delta):
    (s, r), (of_s, of_r) = y, delta
    return ((of_s - of_r) * (s * r),)


sigmoids.defvjp(_sigmoids_fwd, _sigmoids_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def absolute_power(x: Float[Array, "*n"], exponent: float, signed: bool) -> Float[Array, "*n"]:
    """y = |x|ᵉ, or sign(x)|x|ᵉ if signed.  With δ = ∂L/∂y:  ∂x = δ e |x|ᵉ⁻¹, signed if y is not.

    At x = 0 a power of negative exponent counts as 0; sign(0) = 0, and unsigned 0⁰ = 1.
    """
    size = jnp.abs(x)
    # An integer exponent is computed by multiplications.
    y = size ** (int(exponent) if exponent == int(exponent) else exponent)
    if exponent < 0:
        y = jnp.where(size == 0, jnp.zeros_like(y), y)
    return jnp.sign(x) * y if signed else y


def _absolute_power_fwd(x, exponent, signed):
    return absolute_power(x, exponent, signed), x


def _absolute_power_bwd(exponent, signed, x, delta):
    if exponent == 0:
        return (jnp.zeros_like(delta),)
    return (delta * (exponent * absolute_power(x, exponent - 1, not signed)),)


absolute_power.defvjp(_absolute_power_fwd, _absolute_power_bwd)


@jax.custom_vjp
def ratio(x: Float[Array, "*n"], divisor: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = x / d, and 0 where d = 0.  With δ = ∂L/∂y:  ∂x = δ / d,  ∂d = −y δ / d."""
    zero = divisor == 0
    # In a unit near d: XLA may divide by way of a reciprocal, which vanishes or overflows at the
    # ends of the dtype.
    inverse = inverse_unit(jnp.abs(divisor))
    divisor = jnp.where(zero, jnp.ones_like(divisor), divisor * inverse)
    return jnp.where(zero, jnp.zeros_like(x), x * inverse / divisor)


def _ratio_fwd(x, divisor):
    y = ratio(x, divisor)
    return y, (y, divisor)


def _ratio_bwd(residuals, delta):
    y, divisor = residuals
    share = ratio(delta, divisor)
    return share, -(y * share)


ratio.defvjp(_ratio_fwd, _ratio_bwd)


@jax.custom_vjp
def log(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = ln x.  With δ = ∂L/∂y:  ∂x = δ / x."""
    return jnp.log(x)


def _log_fwd(x):
    return log(x), x


def _log_bwd(x, delta):
    return (delta * reciprocal(x),)


log.defvjp(_log_fwd, _log_bwd)


@jax.custom_vjp
def reciprocal(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = 1 / x.  With δ = ∂L/∂y:  ∂x = −δ y²."""
    return 1 / x


def _reciprocal_fwd(x):
    y = reciprocal(x)
    return y, y


def _reciprocal_bwd(y, delta):
    return (-delta * y * y,)


reciprocal.defvjp(_reciprocal_fwd, _reciprocal_bwd)


@jax.custom_vjp
def normal_cdf(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = Φ(x), the standard normal's distribution.  With δ = ∂L/∂y:  ∂x = δ φ(x)."""
    # By erfc, which is precise in the left tail, where 1 + erf cancels.
    return 0.5 * lax.erfc(x * -math.sqrt(0.5))


def _normal_cdf_fwd(x):
    return normal_cdf(x), x


def _normal_cdf_bwd(x, delta):
    return (delta * normal_pdf(x),)


normal_cdf.defvjp(_normal_cdf_fwd, _normal_cdf_bwd)


@jax.custom_vjp
def normal_pdf(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = φ(x) = e^(−x²/2) / √2π, the standard normal's density.  With δ = ∂L/∂y:  ∂x = −δ x y."""
    wide = widen(x)  # x² overflows in float16 from 256 on
    return narrow(jnp.exp(-0.5 * wide * wide) * (1 / math.sqrt(2 * math.pi)), x.dtype)


def _normal_pdf_fwd(x):
    y = normal_pdf(x)
    return y, (x, y)


def _normal_pdf_bwd(residuals, delta):
    x, y = residuals
    return (-delta * (x * y),)


normal_pdf.defvjp(_normal_pdf_fwd, _normal_pdf_bwd)
