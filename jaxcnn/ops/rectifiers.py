"""Rectifiers: activations in pieces. δ = ∂E/∂y • f′(u), f′ chosen by where u lies.

At a kink the conventions are those of `jax.nn`; where PyTorch's differ, the operation says so. The
pieces that are straight keep a mask, the exponential ones their input: far to the left, where y is
−α to the last digit, y + α is 0 and α eˣ is not. Halves are computed in float32, which holds every
factor that one may be given.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.ops.elementary import exp
from jaxcnn.ops.gate import gate_map

# Klambauer et al. 2017, "Self-Normalizing Neural Networks", section 2: α and λ, with more digits.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@jax.custom_vjp
def relu6_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = min(max(x, 0), 6).  With δ = ∂L/∂y:  ∂x = δ where 0 < y < 6, else 0.

    Krizhevsky 2010, "Convolutional Deep Belief Networks on CIFAR-10".
    """
    return jnp.minimum(jnp.maximum(x, 0), 6)


def _relu6_fwd(x):
    y = relu6_map(x)
    return y, (y > 0) & (y < 6)


def _relu6_bwd(between, delta):
    return (gate_map(delta, between),)


relu6_map.defvjp(_relu6_fwd, _relu6_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def leaky_relu_map(x: Float[Array, "*n"], slope: float) -> Float[Array, "*n"]:
    """y = x where x ≥ 0, else s x.  With δ = ∂L/∂y:  ∂x = δ where x ≥ 0, else s δ.

    Maas, Hannun, Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models".
    """
    return jnp.where(x >= 0, x, narrow(slope * widen(x), x.dtype))


def _leaky_relu_fwd(x, slope):
    return leaky_relu_map(x, slope), x >= 0


def _leaky_relu_bwd(slope, positive, delta):
    return (jnp.where(positive, delta, narrow(slope * widen(delta), delta.dtype)),)


leaky_relu_map.defvjp(_leaky_relu_fwd, _leaky_relu_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def elu_map(x: Float[Array, "*n"], alpha: float) -> Float[Array, "*n"]:
    """y = x where x > 0, else α (eˣ − 1).  With δ = ∂L/∂y:  ∂x = δ where x > 0, else δ α eˣ.

    Clevert, Unterthiner, Hochreiter 2016, "Fast and Accurate Deep Network Learning by Exponential
    Linear Units (ELUs)", equation 16.
    """
    return _elu(x, 1, alpha)


def _elu_fwd(x, alpha):
    return elu_map(x, alpha), x


def _elu_bwd(alpha, x, delta):
    return (_elu_slope(x, delta, 1, alpha),)


elu_map.defvjp(_elu_fwd, _elu_bwd)


@jax.custom_vjp
def selu_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = λ elu(x, α).  With δ = ∂L/∂y:  ∂x = λ δ where x > 0, else δ λα eˣ.

    Klambauer et al. 2017, "Self-Normalizing Neural Networks", equation 2.
    """
    return _elu(x, SELU_SCALE, SELU_ALPHA)


def _selu_fwd(x):
    return selu_map(x), x


def _selu_bwd(x, delta):
    return (_elu_slope(x, delta, SELU_SCALE, SELU_ALPHA),)


selu_map.defvjp(_selu_fwd, _selu_bwd)


def _elu(x: Array, scale: float, alpha: float) -> Array:
    wide = widen(x)
    y = jnp.where(wide > 0, scale * wide, scale * alpha * jnp.expm1(jnp.minimum(wide, 0)))
    return narrow(y, x.dtype)


def _elu_slope(x: Array, delta: Array, scale: float, alpha: float) -> Array:
    wide, positive = widen(x), x > 0
    left = scale * alpha * exp(gate_map(wide, ~positive))
    slope = jnp.where(positive, jnp.full_like(left, scale), left)
    return narrow(widen(delta) * slope, x.dtype)


@jax.custom_vjp
def hard_sigmoid_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = min(max(x + 3, 0), 6) / 6.  With δ = ∂L/∂y:  ∂x = δ / 6 where −3 < x < 3, else 0.

    Howard et al. 2019, "Searching for MobileNetV3", section 5.2.
    """
    return narrow(jnp.minimum(jnp.maximum(widen(x) + 3, 0), 6) / 6, x.dtype)


def _hard_sigmoid_fwd(x):
    return hard_sigmoid_map(x), (x > -3) & (x < 3)


def _hard_sigmoid_bwd(between, delta):
    return (narrow(gate_map(widen(delta), between) * (1 / 6), delta.dtype),)


hard_sigmoid_map.defvjp(_hard_sigmoid_fwd, _hard_sigmoid_bwd)


@jax.custom_vjp
def hard_tanh_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = min(max(x, −1), 1).  With δ = ∂L/∂y:  ∂x = δ where −1 ≤ x ≤ 1, else 0.

    Collobert 2004, "Large Scale Machine Learning", section 4.
    """
    return jnp.minimum(jnp.maximum(x, -1), 1)


def _hard_tanh_fwd(x):
    return hard_tanh_map(x), ~((x < -1) | (x > 1))


def _hard_tanh_bwd(between, delta):
    return (gate_map(delta, between),)


hard_tanh_map.defvjp(_hard_tanh_fwd, _hard_tanh_bwd)


@jax.custom_vjp
def hard_swish_map(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """y = x h, h = hard_sigmoid(x).  With δ = ∂L/∂y:  ∂x = δ (h + x/6) where −3 < x < 3, else δ h.

    Howard et al. 2019, "Searching for MobileNetV3", section 5.2.
    """
    wide = widen(x)
    return narrow(wide * hard_sigmoid_map(wide), x.dtype)


def _hard_swish_fwd(x):
    return hard_swish_map(x), x


def _hard_swish_bwd(x, delta):
    wide = widen(x)
    slope = hard_sigmoid_map(wide) + gate_map(wide, (x > -3) & (x < 3)) * (1 / 6)
    return (narrow(widen(delta) * slope, x.dtype),)


hard_swish_map.defvjp(_hard_swish_fwd, _hard_swish_bwd)


def relu6(x: Float[ArrayLike, "*n"], *, rule: Callable[..., Any] = relu6_map) -> Float[Array, "*n"]:
    """y = min(max(x, 0), 6), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where 0 < x < 6, else 0, at both kinks too.
    Source: Krizhevsky 2010, "Convolutional Deep Belief Networks on CIFAR-10".

    Raises:
        TypeError: x is no float array.
    """
    return rule(check.float_array("relu6", "x", x))


def leaky_relu(
    x: Float[ArrayLike, "*n"], slope: float = 0.01, *, rule: Callable[..., Any] = leaky_relu_map
) -> Float[Array, "*n"]:
    """y = x where x ≥ 0, else s x, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where x ≥ 0, else s δ; at the kink 1, where PyTorch has s.
    Source: Maas, Hannun, Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic
    Models", section 2.

    Args:
        x: of any shape.
        slope: the slope s on the left, any number.
        rule: the map to apply, hand-written (`leaky_relu_map`) or a twin of the same signature.

    Raises:
        TypeError: x is no float array, or slope no number.
        ValueError: slope is not finite.
    """
    x = check.float_array("leaky_relu", "x", x)
    return rule(x, check.number("leaky_relu", "slope", slope))


def elu(
    x: Float[ArrayLike, "*n"], alpha: float = 1.0, *, rule: Callable[..., Any] = elu_map
) -> Float[Array, "*n"]:
    """y = x where x > 0, else α (eˣ − 1), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where x > 0, else δ α eˣ; so α at the kink.
    Source: Clevert, Unterthiner, Hochreiter 2016, equation 16.

    Args:
        x: of any shape.
        alpha: minus the value far to the left; not negative.
        rule: the map to apply, hand-written (`elu_map`) or a twin of the same signature.

    Raises:
        TypeError: x is no float array, or alpha no number.
        ValueError: alpha is negative or not finite.
    """
    x = check.float_array("elu", "x", x)
    return rule(x, check.number("elu", "alpha", alpha, minimum=0))


def selu(x: Float[ArrayLike, "*n"], *, rule: Callable[..., Any] = selu_map) -> Float[Array, "*n"]:
    """y = λ x where x > 0, else λα (eˣ − 1), α = 1.6733, λ = 1.0507, element by element.

    Backward, with δ = ∂L/∂y: ∂x = λ δ where x > 0, else δ λα eˣ; so λα at the kink.
    Source: Klambauer et al. 2017, equation 2.

    Raises:
        TypeError: x is no float array.
    """
    return rule(check.float_array("selu", "x", x))


def hard_sigmoid(
    x: Float[ArrayLike, "*n"], *, rule: Callable[..., Any] = hard_sigmoid_map
) -> Float[Array, "*n"]:
    """y = min(max(x + 3, 0), 6) / 6, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ / 6 where −3 < x < 3, else 0, at both kinks too.
    Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2.

    Raises:
        TypeError: x is no float array.
    """
    return rule(check.float_array("hard_sigmoid", "x", x))


def hard_tanh(
    x: Float[ArrayLike, "*n"], *, rule: Callable[..., Any] = hard_tanh_map
) -> Float[Array, "*n"]:
    """y = min(max(x, −1), 1), element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where −1 ≤ x ≤ 1, else 0; at the kinks 1, where PyTorch has 0.
    Source: Collobert 2004, section 4.

    Raises:
        TypeError: x is no float array.
    """
    return rule(check.float_array("hard_tanh", "x", x))


def hard_swish(
    x: Float[ArrayLike, "*n"], *, rule: Callable[..., Any] = hard_swish_map
) -> Float[Array, "*n"]:
    """y = x h with h = hard_sigmoid(x) = min(max(x + 3, 0), 6) / 6, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ (h + x/6) where −3 < x < 3, else δ h; 0 at −3, and 1 at 3.
    Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2.

    Raises:
        TypeError: x is no float array.
    """
    return rule(check.float_array("hard_swish", "x", x))
