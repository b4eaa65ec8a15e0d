"""Smooth activations: δ = ∂E/∂y • f′(u), with f′ made of sigmoid, tanh and the normal distribution.

Each keeps its input. Far out every factor that decays is exactly 0 before it meets one that grows,
so that values and gradients stay finite; halves are computed in float32. 1 − sigmoid(x) cancels for
large x and is computed as sigmoid(−x); and what tends to 1, as Φ and t do, has a rule of its own,
or its derivative would be a small difference of large numbers.
"""

import math

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.ops.activation import sigmoid_map
from jaxcnn.ops.elementary import normal_cdf, normal_pdf, power, reciprocal, sigmoids
from jaxcnn.rules import Function, sloped

_GELU_SCALE = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


@sloped(sigmoid_map)
def softplus_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    wide = widen(x)  # max(x, 0) + ln(1 + e^−|x|): nothing overflows
    return narrow(jnp.maximum(wide, 0) + jnp.log1p(jnp.exp(-jnp.abs(wide))), x.dtype)


@entry.operation
def softplus(x: Float[ArrayLike, "*n"], *, rule: Function = softplus_map) -> Float[Array, "*n"]:
    """y = ln(1 + eˣ), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ sigmoid(x).
    Source: Dugas, Bengio, Bélisle, Nadeau, Garcia 2001, "Incorporating Second-Order Functional
    Knowledge for Better Option Pricing".
    """
    return rule(check.float_array("softplus", "x", x))


def _squareplus_slope(x: Array, b: float) -> Array:
    x = jnp.where(x > 1e18, jnp.full_like(x, 1e18), x)  # 1 from there on, where x² may overflow
    return squareplus_map(x, b) * power(x * x + b, -0.5)


@sloped(_squareplus_slope, nondiff_argnums=(1,))
def squareplus_map(x: Float[Array, "*n"], b: float) -> Float[Array, "*n"]:
    wide = widen(x)
    root = jnp.hypot(wide, math.sqrt(b))
    return narrow(jnp.where(wide < 0, b / 2 / (root - wide), root / 2 + wide / 2), x.dtype)


@entry.operation
def squareplus(
    x: Float[ArrayLike, "*n"], b: float = 4.0, *, rule: Function = squareplus_map
) -> Float[Array, "*n"]:
    """y = ½ (x + √(x² + b)), element by element.

    Backward, with δ = ∂L/∂y: ∂x = ½ δ (1 + x/√(x² + b)) = δ y/√(x² + b).
    Source: Barron 2021, "Squareplus: A Softplus-Like Algebraic Rectifier", arXiv 2112.11687.

    Args:
        b: how far the bend reaches, y(0) = ½ √b; above 0.
    """
    x = check.float_array("squareplus", "x", x)
    return rule(x, check.positive("squareplus", "b", b))


def _softsign_slope(x: Array) -> Array:
    root = reciprocal(1 + jnp.where(x < 0, -x, x))
    return root * root


@sloped(_softsign_slope)
def softsign_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    wide = widen(x)
    return narrow(wide / (1 + jnp.abs(wide)), x.dtype)


@entry.operation
def softsign(x: Float[ArrayLike, "*n"], *, rule: Function = softsign_map) -> Float[Array, "*n"]:
    """y = x / (1 + |x|), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ / (1 + |x|)².
    Source: Bergstra, Desjardins, Lamblin, Bengio 2009, "Quadratic Polynomials Learn Better Image
    Features"; Glorot, Bengio 2010, section 3.
    """
    return rule(check.float_array("softsign", "x", x))


def _erf_curvature(x: Array) -> Array:
    return -2 * (x * erf_slope(x))


@sloped(_erf_curvature)
def erf_slope(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = (2/√π) e^(−x²).  With δ = ∂L/∂y:  ∂x = −2 δ x y."""
    return 2 / math.sqrt(math.pi) * jnp.exp(-(x * x))


@sloped(erf_slope)
def erf_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    return lax.erf(x)


@entry.operation
def erf(x: Float[ArrayLike, "*n"], *, rule: Function = erf_map) -> Float[Array, "*n"]:
    """y = (2/√π) ∫ e^(−t²) dt from 0 to x, element by element: the error function.

    Backward, with δ = ∂L/∂y: ∂x = δ (2/√π) e^(−x²).
    Source: Abramowitz, Stegun 1964, 7.1.1; graphs of ONNX have Φ(x) as ½ (1 + erf(x/√2)).
    """
    return rule(check.float_array("erf", "x", x))


def _silu_slope(x: Array) -> Array:
    s, r = sigmoids(x)
    return s * (1 + x * r)


@sloped(_silu_slope)
def silu_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    wide = widen(x)
    return narrow(wide * sigmoid_map(wide), x.dtype)


@entry.operation
def silu(x: Float[ArrayLike, "*n"], *, rule: Function = silu_map) -> Float[Array, "*n"]:
    """y = x sigmoid(x), element by element; also called swish.

    Backward, with δ = ∂L/∂y: ∂x = δ s (1 + x (1 − s)), s = sigmoid(x).
    Source: Hendrycks, Gimpel 2016; Ramachandran, Zoph, Le 2017.
    """
    return rule(check.float_array("silu", "x", x))


def _tanh_softplus_slope(x: Array) -> Array:
    s, r = sigmoids(x)
    root = 2 * r * reciprocal(1 + r * r)
    return root * root * s


@sloped(_tanh_softplus_slope)
def tanh_softplus(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """t = tanh(softplus(x)).  With δ = ∂L/∂t:  ∂x = δ t′, t′ = (1 − t²) sigmoid(x).

    With s = sigmoid(x) and r = 1 − s: t = s (1 + r) / (1 + r²), and 1 − t² = (2 r / (1 + r²))².
    """
    s, r = sigmoids(x)
    return s * (1 + r) * reciprocal(1 + r * r)


@sloped(lambda x: tanh_softplus(x) + x * _tanh_softplus_slope(x))
def mish_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    wide = widen(x)
    return narrow(wide * tanh_softplus(wide), x.dtype)


@entry.operation
def mish(x: Float[ArrayLike, "*n"], *, rule: Function = mish_map) -> Float[Array, "*n"]:
    """y = x tanh(softplus(x)), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ (t + x (1 − t²) sigmoid(x)), t = tanh(softplus(x)).
    Source: Misra 2019, "Mish: A Self Regularized Non-Monotonic Activation Function".
    """
    return rule(check.float_array("mish", "x", x))


def _gelu_cdf(x: Array, approximate: bool) -> tuple[Array, Array]:
    """Φ(x) and its derivative, exactly or approximately."""
    if not approximate:
        return normal_cdf(x), normal_pdf(x)
    # Further out than ±1,000 nothing changes any more, and the cubic would overflow.
    near = (x > -1e3) & (x < 1e3)
    x = jnp.where(near, x, jnp.where(x > 0, jnp.full_like(x, 1e3), jnp.full_like(x, -1e3)))
    slope = 2 * _GELU_SCALE * (1 + 3 * _GELU_CUBIC * (x * x))
    below, above = sigmoids(_gelu_cubic(x))
    return below, below * above * slope


def _gelu_cubic(x: Array) -> Array:
    """2v, whose sigmoid is Φ approximately."""
    return 2 * _GELU_SCALE * (x + _GELU_CUBIC * (x * x) * x)


def _gelu_slope(x: Array, approximate: bool) -> Array:
    cdf, pdf = _gelu_cdf(x, approximate)
    return cdf + x * pdf


@sloped(_gelu_slope, nondiff_argnums=(1,))
def gelu_map(x: Float[Array, "*n"], approximate: bool) -> Float[Array, "*n"]:
    """Approximately Φ is ½ (1 + tanh v) = sigmoid(2v), so that φ = Φ (1 − Φ) 2v′."""
    wide = widen(x)
    # A cubic that overflows does no harm here: the sigmoid of ±∞ is 1 or 0.
    cdf = sigmoid_map(_gelu_cubic(wide)) if approximate else normal_cdf(wide)
    return narrow(wide * cdf, x.dtype)


@entry.operation
def gelu(
    x: Float[ArrayLike, "*n"], approximate: bool = False, *, rule: Function = gelu_map
) -> Float[Array, "*n"]:
    """y = x Φ(x), Φ the standard normal's distribution, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ (Φ(x) + x φ(x)), φ its density.
    Source: Hendrycks, Gimpel 2016, "Gaussian Error Linear Units (GELUs)", section 2.

    Args:
        approximate: whether Φ(x) is ½ (1 + tanh(√(2/π) (x + 0.044715 x³))), and φ its derivative,
            the default of `jax.nn`; here as in PyTorch, ONNX and Keras it is the exact Φ.
    """
    x = check.float_array("gelu", "x", x)
    return rule(x, check.boolean("gelu", "approximate", approximate))
