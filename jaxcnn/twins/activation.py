"""Plain twins of the activations and of the elementary functions."""

import jax
import jax.numpy as jnp

from jaxcnn.ops import activation, elementary

TWINS = {
    activation.relu_map: jax.nn.relu,
    activation.sigmoid_map: jax.nn.sigmoid,
    activation.tanh_map: jnp.tanh,
    activation.softmax_map: jax.nn.softmax,
    activation.log_softmax_map: jax.nn.log_softmax,
    elementary.exp: jnp.exp,
}
