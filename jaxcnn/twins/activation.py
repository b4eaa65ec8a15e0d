"""Plain twins of the activations."""

import jax
import jax.numpy as jnp

from jaxcnn.ops import activation

TWINS = {
    activation.relu_map: jax.nn.relu,
    activation.sigmoid_map: jax.nn.sigmoid,
    activation.tanh_map: jnp.tanh,
    activation.softmax_map: jax.nn.softmax,
    activation.log_softmax_map: jax.nn.log_softmax,
}
