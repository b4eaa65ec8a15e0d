"""Plain twins of the activations."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops import activation, maxout, rectifiers, shrinkage, smooth


def _maxout_choice(x: Array, pieces: int) -> Array:
    split = x.reshape(*x.shape[:-1], -1, pieces)
    return jnp.argmax(split, -1).astype(jnp.uint8 if pieces <= 256 else jnp.int32)


def _maxout(x: Array, pieces: int) -> Array:
    # By indexing: JAX's own maximum shares the gradient among equals.
    split = x.reshape(*x.shape[:-1], -1, pieces)
    return jnp.take_along_axis(split, jnp.argmax(split, -1)[..., None], -1)[..., 0]


def _prelu(x: Array, slope: Array) -> Array:
    return jnp.where(x >= 0, x, jnp.broadcast_to(slope, x.shape) * x)


def _celu(x: Array, alpha: float) -> Array:
    # One branch has all of the slope at 0, which jax.nn.celu splits between two.
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, 0.0, x) / alpha))


def _shrink(x: Array, threshold: float, bias: float) -> Array:
    return jnp.where(x > threshold, x - bias, jnp.where(x < -threshold, x + bias, 0 * x))


TWINS = {
    activation.relu_map: jax.nn.relu,
    activation.sigmoid_map: jax.nn.sigmoid,
    activation.sigmoid_slope: lambda x: jax.nn.sigmoid(x) * jax.nn.sigmoid(-x),
    activation.tanh_map: jnp.tanh,
    activation.softmax_map: jax.nn.softmax,
    activation.log_softmax_map: jax.nn.log_softmax,
    rectifiers.relu6_map: jax.nn.relu6,
    rectifiers.leaky_relu_map: jax.nn.leaky_relu,
    rectifiers.prelu_map: _prelu,
    rectifiers.elu_map: jax.nn.elu,
    rectifiers.celu_map: _celu,
    rectifiers.selu_map: jax.nn.selu,
    shrinkage.thresholded_relu_map: lambda x, alpha: x * (x > alpha).astype(x.dtype),
    shrinkage.shrink_map: _shrink,
    rectifiers.hard_sigmoid_map: jax.nn.hard_sigmoid,
    rectifiers.hard_tanh_map: jax.nn.hard_tanh,
    rectifiers.hard_swish_map: jax.nn.hard_silu,
    smooth.softplus_map: jax.nn.softplus,
    smooth.squareplus_map: jax.nn.squareplus,
    smooth.softsign_map: jax.nn.soft_sign,
    smooth.erf_slope: lambda x: jax.jvp(lax.erf, (x,), (jnp.ones_like(x),))[1],
    smooth.erf_map: lax.erf,
    smooth.silu_map: jax.nn.silu,
    smooth.tanh_softplus: lambda x: jnp.tanh(jax.nn.softplus(x)),
    smooth.mish_map: jax.nn.mish,
    smooth.gelu_map: jax.nn.gelu,
    maxout.maxout_map: _maxout,
    maxout.maxout_choice: _maxout_choice,
}
