"""Plain twins of dropout and the gate."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import dropout, gate


def _gate(x: Array, mask: Array) -> Array:
    return jnp.where(mask, x, jnp.zeros_like(x))


def _dropout_mask(key: Array, rate: float, shape: tuple[int, ...]) -> Array:
    return jax.random.bernoulli(key, 1 - rate, shape)


def _dropout(x: Array, key: Array, rate: float) -> Array:
    if rate == 1:
        return jnp.zeros_like(x)
    return jnp.where(_dropout_mask(key, rate, x.shape), x / (1 - rate), jnp.zeros_like(x))


TWINS = {
    dropout.dropout_map: _dropout,
    dropout.dropout_mask: _dropout_mask,
    gate.gate_map: _gate,
}
