"""Plain twins of the dense layer and its gradients."""

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import dense


def _dense(x: Array, weight: Array, bias: Array | None) -> Array:
    y = jnp.matmul(x, weight)
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _dense_input_grad(delta: Array, weight: Array) -> Array:
    return jnp.matmul(delta, weight.T)


def _dense_weight_grad(x: Array, delta: Array) -> Array:
    return jnp.matmul(x.reshape(-1, x.shape[-1]).T, delta.reshape(-1, delta.shape[-1]))


TWINS = {
    dense.dense_map: _dense,
    dense.dense_input_grad_map: _dense_input_grad,
    dense.dense_weight_grad_map: _dense_weight_grad,
}
