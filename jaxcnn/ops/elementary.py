"""Elementary functions with rules, for use inside other rules.

A rule's backward pass may use sums, products and selections freely; where it needs anything that is
not a polynomial, it calls one of these, so that its own derivative is written by hand as well.
"""

import math

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.lowering.statistics import inverse_unit
from jaxcnn.rules import custom_rule, unary


def _power_slope(moved, x, exponent):
    if exponent == 0:  # at x = 0 the formula reads 0 · ∞
        return jnp.zeros_like(moved)
    return moved * (exponent * power(x, exponent - 1))


@unary(keep=lambda x, y: x, back=_power_slope, nondiff_argnums=(1,))
def power(x: Float[Array, "*n"], exponent: float) -> Float[Array, "*n"]:
    """y = xᵖ, p a constant.  With δ = ∂L/∂y:  ∂x = δ p xᵖ⁻¹, and 0 everywhere for p = 0."""
    return lax.rsqrt(x) if exponent == -0.5 else jnp.power(x, exponent)


@unary(keep=lambda x, y: y, back=lambda moved, y: moved * y)
def exp(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = eˣ.  With δ = ∂L/∂y:  ∂x = δ y."""
    return jnp.exp(x)


@unary(keep=lambda x, y: x, back=lambda moved, x: moved * exp(x))
def expm1(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = eˣ − 1.  With δ = ∂L/∂y:  ∂x = δ eˣ."""
    return jnp.expm1(x)


@custom_rule
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


def _sigmoids_tangent(y, dots):
    s, r = y
    moved = dots[0] * (s * r)
    return moved, -moved


sigmoids.defvjp(_sigmoids_fwd, _sigmoids_bwd)
sigmoids.defjvp(_sigmoids_tangent)


def _absolute_power_slope(moved, x, exponent, signed):
    if exponent == 0:
        return jnp.zeros_like(moved)
    return moved * (exponent * absolute_power(x, exponent - 1, not signed))


@unary(keep=lambda x, y: x, back=_absolute_power_slope, nondiff_argnums=(1, 2))
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


@custom_rule
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
ratio.defjvps(lambda r, dot: ratio(dot, r[1]), lambda r, dot: -(r[0] * ratio(dot, r[1])))


@unary(keep=lambda x, y: x, back=lambda moved, x: moved * reciprocal(x))
def log(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = ln x.  With δ = ∂L/∂y:  ∂x = δ / x."""
    return jnp.log(x)


@unary(keep=lambda x, y: y, back=lambda moved, y: -moved * y * y)
def reciprocal(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = 1 / x.  With δ = ∂L/∂y:  ∂x = −δ y²."""
    return 1 / x


@unary(keep=lambda x, y: x, back=lambda moved, x: moved * normal_pdf(x))
def normal_cdf(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = Φ(x), the standard normal's distribution.  With δ = ∂L/∂y:  ∂x = δ φ(x)."""
    # By erfc, which is precise in the left tail, where 1 + erf cancels.
    return 0.5 * lax.erfc(x * -math.sqrt(0.5))


@unary(keep=lambda x, y: (x, y), back=lambda moved, kept: -moved * (kept[0] * kept[1]))
def normal_pdf(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = φ(x) = e^(−x²/2) / √2π, the standard normal's density.  With δ = ∂L/∂y:  ∂x = −δ x y."""
    wide = widen(x)  # x² overflows in float16 from 256 on
    return narrow(jnp.exp(-0.5 * wide * wide) * (1 / math.sqrt(2 * math.pi)), x.dtype)
