"""Plain twins of the activations and of the elementary functions."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import activation, elementary


def _absolute_power(x: Array, exponent: float, signed: bool) -> Array:
    y = jnp.abs(x) ** exponent
    return jnp.sign(x) * y if signed else y


TWINS = {
    activation.relu_map: jax.nn.relu,
    activation.sigmoid_map: jax.nn.sigmoid,
    activation.tanh_map: jnp.tanh,
    activation.softmax_map: jax.nn.softmax,
    activation.log_softmax_map: jax.nn.log_softmax,
    elementary.exp: jnp.exp,
    elementary.absolute_power: _absolute_power,
    elementary.ratio: jnp.divide,
}
