"""Rectifiers: activations in pieces. δ = ∂E/∂y • f′(u), f′ chosen by where u lies.

At a kink the conventions are those of `jax.nn`; where PyTorch's differ, the operation says so.
Straight pieces keep a mask, exponential ones their input: far to the left, where y is −α to the
last digit, y + α is 0 and α eˣ is not. Halves are computed in float32, which holds any factor that
is given.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.ops.elementary import exp
from jaxcnn.ops.gate import gate_map
from jaxcnn.rules import Function, custom_rule, sloped, unary

# The α and λ of SELU, with more digits than in the source.

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@unary(keep=lambda x, y: (y > 0) & (y < 6), back=gate_map)
def relu6_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    return jnp.minimum(jnp.maximum(x, 0), 6)


@entry.operation
def relu6(x: Float[ArrayLike, "*n"], *, rule: Function = relu6_map) -> Float[Array, "*n"]:
    """y = min(max(x, 0), 6), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where 0 < x < 6, else 0, at both kinks too.
    Source: Krizhevsky 2010, "Convolutional Deep Belief Networks on CIFAR-10".
    """
    return rule(check.float_array("relu6", "x", x))


def _leaky(moved: Array, positive: Array, slope: Array | float) -> Array:
    return jnp.where(positive, moved, narrow(slope * widen(moved), moved.dtype))


@unary(keep=lambda x, y: x >= 0, back=_leaky, nondiff_argnums=(1,))
def leaky_relu_map(x: Float[Array, "*n"], slope: float) -> Float[Array, "*n"]:
    return _leaky(x, x >= 0, slope)


@entry.operation
def leaky_relu(
    x: Float[ArrayLike, "*n"], slope: float = 0.01, *, rule: Function = leaky_relu_map
) -> Float[Array, "*n"]:
    """y = x where x ≥ 0, else s x, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where x ≥ 0, else s δ; at the kink 1, where PyTorch has s.
    Source: Maas, Hannun, Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic
    Models", section 2.

    Args:
        slope: the slope s on the left, any number.
    """
    x = check.float_array("leaky_relu", "x", x)
    return rule(x, check.number("leaky_relu", "slope", slope))


def _wide_slope(slope: Array, x: Array) -> Array:
    return jnp.broadcast_to(widen(slope), x.shape)


@custom_rule
def prelu_map(x: Float[Array, "*n"], slope: Float[Array, "*s"]) -> Float[Array, "*n"]:
    return _leaky(x, x >= 0, _wide_slope(slope, x))


def _prelu_fwd(x, slope):
    return prelu_map(x, slope), (x, slope)


def _prelu_bwd(residuals, delta):
    x, slope = residuals
    share = widen(delta) * gate_map(widen(x), ~(x >= 0))
    first = x.ndim - slope.ndim
    alike = [i for i in range(x.ndim) if i < first or slope.shape[i - first] == 1]
    delta_slope = share.sum(alike).reshape(slope.shape).astype(slope.dtype)
    return _leaky(delta, x >= 0, _wide_slope(slope, x)), delta_slope


prelu_map.defvjp(_prelu_fwd, _prelu_bwd)
prelu_map.defjvps(
    lambda r, dot: _leaky(dot, r[0] >= 0, _wide_slope(r[1], r[0])),
    lambda r, dot: narrow(_wide_slope(dot, r[0]) * gate_map(widen(r[0]), ~(r[0] >= 0)), r[0].dtype),
    affine=(1,),
)
prelu_map.tangent.__doc__ = "ẏ = ẋ where x ≥ 0, else s ẋ + ṡ x."


@entry.operation
def prelu(
    x: Float[ArrayLike, "*n"], slope: Float[ArrayLike, "*s"], *, rule: Function = prelu_map
) -> Float[Array, "*n"]:
    """y = x where x ≥ 0, else s x, with slopes s to learn.

    Backward, with δ = ∂L/∂y: ∂x = δ where x ≥ 0, else s δ, as `leaky_relu`, so 1 at the kink;
    ∂s = Σ δ min(x, 0), over the elements that share a slope.
    Source: He et al. 2015, "Delving Deep into Rectifiers", equations 1 and 8 to 11.

    Args:
        slope: s, of a shape that broadcasts to that of x: one per channel (c,), or one for all ().
    """
    x = check.float_array("prelu", "x", x)
    slope = check.float_array("prelu", "slope", slope, like=("x", x))
    check.broadcasts("prelu", "slope", slope, x.shape)
    return rule(*vary_together(x, slope))


def _elu(x: Array, scale: float, alpha: float, width: float = 1) -> Array:
    wide = widen(x)
    y = jnp.where(wide > 0, scale * wide, scale * alpha * jnp.expm1(jnp.minimum(wide, 0) / width))
    return narrow(y, x.dtype)


def _elu_slope(x: Array, scale: float, alpha: float, width: float = 1) -> Array:
    left = scale * alpha / width * exp(gate_map(x, ~(x > 0)) * (1 / width))
    return jnp.where(x > 0, jnp.full_like(left, scale), left)


@sloped(lambda x, alpha: _elu_slope(x, 1, alpha), nondiff_argnums=(1,))
def elu_map(x: Float[Array, "*n"], alpha: float) -> Float[Array, "*n"]:
    return _elu(x, 1, alpha)


@entry.operation
def elu(
    x: Float[ArrayLike, "*n"], alpha: float = 1.0, *, rule: Function = elu_map
) -> Float[Array, "*n"]:
    """y = x where x > 0, else α (eˣ − 1), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where x > 0, else δ α eˣ; so α at the kink.
    Source: Clevert, Unterthiner, Hochreiter 2016, equation 16.

    Args:
        alpha: minus the value far to the left; not negative.
    """
    x = check.float_array("elu", "x", x)
    return rule(x, check.number("elu", "alpha", alpha, minimum=0))


@sloped(lambda x, alpha: _elu_slope(x, 1, alpha, alpha), nondiff_argnums=(1,))
def celu_map(x: Float[Array, "*n"], alpha: float) -> Float[Array, "*n"]:
    return _elu(x, 1, alpha, alpha)


@entry.operation
def celu(
    x: Float[ArrayLike, "*n"], alpha: float = 1.0, *, rule: Function = celu_map
) -> Float[Array, "*n"]:
    """y = x where x > 0, else α (e^(x/α) − 1), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where x > 0, else δ e^(x/α); so 1 at the kink, for every α.
    Source: Barron 2017, "Continuously Differentiable Exponential Linear Units", equation 2.

    Args:
        alpha: minus the value far to the left; above 0.
    """
    x = check.float_array("celu", "x", x)
    return rule(x, check.positive("celu", "alpha", alpha))


@sloped(lambda x: _elu_slope(x, SELU_SCALE, SELU_ALPHA))
def selu_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    return _elu(x, SELU_SCALE, SELU_ALPHA)


@entry.operation
def selu(x: Float[ArrayLike, "*n"], *, rule: Function = selu_map) -> Float[Array, "*n"]:
    """y = λ x where x > 0, else λα (eˣ − 1), α = 1.6733, λ = 1.0507, element by element.

    Backward, with δ = ∂L/∂y: ∂x = λ δ where x > 0, else δ λα eˣ; so λα at the kink.
    Source: Klambauer et al. 2017, "Self-Normalizing Neural Networks", equation 2.
    """
    return rule(check.float_array("selu", "x", x))


@unary(
    keep=lambda x, y: (x > -3) & (x < 3),
    back=lambda moved, between: narrow(gate_map(widen(moved), between) * (1 / 6), moved.dtype),
)
def hard_sigmoid_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    return narrow(jnp.minimum(jnp.maximum(widen(x) + 3, 0), 6) / 6, x.dtype)


@entry.operation
def hard_sigmoid(
    x: Float[ArrayLike, "*n"], *, rule: Function = hard_sigmoid_map
) -> Float[Array, "*n"]:
    """y = min(max(x + 3, 0), 6) / 6, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ / 6 where −3 < x < 3, else 0, at both kinks too.
    Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2.
    """
    return rule(check.float_array("hard_sigmoid", "x", x))


@unary(keep=lambda x, y: ~((x < -1) | (x > 1)), back=gate_map)
def hard_tanh_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    return jnp.minimum(jnp.maximum(x, -1), 1)


@entry.operation
def hard_tanh(x: Float[ArrayLike, "*n"], *, rule: Function = hard_tanh_map) -> Float[Array, "*n"]:
    """y = min(max(x, −1), 1), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where −1 ≤ x ≤ 1, else 0; at the kinks 1, where PyTorch has 0.
    Source: Collobert 2004, section 4.
    """
    return rule(check.float_array("hard_tanh", "x", x))


@sloped(lambda x: hard_sigmoid_map(x) + gate_map(x, (x > -3) & (x < 3)) * (1 / 6))
def hard_swish_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    wide = widen(x)
    return narrow(wide * hard_sigmoid_map(wide), x.dtype)


@entry.operation
def hard_swish(x: Float[ArrayLike, "*n"], *, rule: Function = hard_swish_map) -> Float[Array, "*n"]:
    """y = x h with h = hard_sigmoid(x) = min(max(x + 3, 0), 6) / 6, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ (h + x/6) where −3 < x < 3, else δ h; 0 at −3, and 1 at 3.
    Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2.
    """
    return rule(check.float_array("hard_swish", "x", x))
