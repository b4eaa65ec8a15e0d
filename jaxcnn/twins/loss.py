"""Plain twins of the losses."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import loss


def _reduce(losses: Array, reduction: str) -> Array:
    return {"mean": jnp.mean, "sum": jnp.sum, "none": lambda losses: losses}[reduction](losses)


def _softmax_cross_entropy(logits: Array, targets: Array, reduction: str) -> Array:
    if jnp.issubdtype(targets.dtype, jnp.integer):
        targets = jax.nn.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
    return _reduce(-jnp.sum(targets * jax.nn.log_softmax(logits, -1), -1), reduction)


def _sigmoid_squared_error(logits: Array, targets: Array, reduction: str) -> Array:
    return _reduce(jnp.sum((targets - jax.nn.sigmoid(logits)) ** 2, -1) / 2, reduction)


def _sigmoid_binary_cross_entropy(logits: Array, targets: Array, reduction: str) -> Array:
    terms = targets * jax.nn.log_sigmoid(logits) + (1 - targets) * jax.nn.log_sigmoid(-logits)
    return _reduce(-jnp.sum(terms, -1), reduction)


TWINS = {
    loss.softmax_cross_entropy_map: _softmax_cross_entropy,
    loss.sigmoid_squared_error_map: _sigmoid_squared_error,
    loss.sigmoid_binary_cross_entropy_map: _sigmoid_binary_cross_entropy,
}
