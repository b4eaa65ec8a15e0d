"""Plain twins of the losses."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import cross_entropy, probabilities, regression, weight_decay
from jaxcnn.ops.cross_entropy import Weighing


def _reduce(losses: Array, reduction: str) -> Array:
    return {"mean": jnp.mean, "sum": jnp.sum, "none": lambda losses: losses}[reduction](losses)


def _softmax_cross_entropy(
    logits: Array, targets: Array, class_weights: Array | None, weighing: Weighing
) -> Array:
    classes, smoothing = logits.shape[-1], weighing.label_smoothing
    weights = jnp.ones(classes, logits.dtype) if class_weights is None else class_weights
    log_y = jax.nn.log_softmax(logits, -1)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        smooth = (1 - smoothing) * targets + smoothing / classes
        return _reduce(-jnp.einsum("...k,...k,k->...", smooth, log_y, weights), weighing.reduction)
    labels = targets
    counted = jnp.ones(labels.shape, bool)
    if weighing.ignore_index is not None:
        counted = labels != weighing.ignore_index
        labels = jnp.where(counted, labels, 0)
    smooth = (1 - smoothing) * jax.nn.one_hot(labels, classes, dtype=logits.dtype)
    smooth = smooth + smoothing / classes
    losses = -jnp.einsum("...k,...k,k->...", smooth, log_y, weights)
    losses = jnp.where(counted, losses, 0)
    if weighing.reduction == "mean":
        return losses.sum() / jnp.where(counted, weights[labels], 0).sum()
    return _reduce(losses, weighing.reduction)


def _label_error(logits: Array, labels: Array, weighing: Weighing) -> Array:
    t = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    smoothing = weighing.label_smoothing
    return jax.nn.softmax(logits, -1) - (1 - smoothing) * t - smoothing / logits.shape[-1]


def _sigmoid_binary_cross_entropy(logits: Array, targets: Array, reduction: str) -> Array:
    terms = targets * jax.nn.log_sigmoid(logits) + (1 - targets) * jax.nn.log_sigmoid(-logits)
    return _reduce(-jnp.sum(terms, -1), reduction)


def _squared_error(predictions: Array, targets: Array, reduction: str) -> Array:
    return _reduce(jnp.sum((predictions - targets) ** 2, -1) / 2, reduction)


def _sigmoid_squared_error(logits: Array, targets: Array, reduction: str) -> Array:
    return _squared_error(jax.nn.sigmoid(logits), targets, reduction)


def _absolute_error(predictions: Array, targets: Array, reduction: str) -> Array:
    return _reduce(jnp.sum(jnp.abs(predictions - targets), -1), reduction)


def _huber(predictions: Array, targets: Array, delta: float, reduction: str) -> Array:
    error = predictions - targets
    size = jnp.abs(error)
    losses = jnp.where(size <= delta, error**2 / 2, delta * (size - delta / 2))
    return _reduce(losses.sum(-1), reduction)


def _smooth_l1(predictions: Array, targets: Array, beta: float, reduction: str) -> Array:
    error = predictions - targets
    size = jnp.abs(error)
    losses = jnp.where(size <= beta, error**2 / (2 * beta), size - beta / 2)
    return _reduce(losses.sum(-1), reduction)


def _kl_divergence(log_predictions: Array, targets: Array, reduction: str) -> Array:
    safe = jnp.where(targets == 0, 1, targets)
    terms = jnp.where(targets == 0, 0, targets * (jnp.log(safe) - log_predictions))
    return _reduce(terms.sum(-1), reduction)


def _weight_decay(params: list[Array], strength: float) -> Array:
    return strength / 2 * jnp.stack([jnp.sum(w**2) for w in params]).sum()


TWINS = {
    cross_entropy.softmax_cross_entropy_map: _softmax_cross_entropy,
    cross_entropy.label_error_map: _label_error,
    probabilities.sigmoid_binary_cross_entropy_map: _sigmoid_binary_cross_entropy,
    probabilities.kl_divergence_map: _kl_divergence,
    regression.squared_error_map: _squared_error,
    regression.sigmoid_squared_error_map: _sigmoid_squared_error,
    regression.absolute_error_map: _absolute_error,
    regression.huber_map: _huber,
    regression.smooth_l1_map: _smooth_l1,
    weight_decay.weight_decay_map: _weight_decay,
}
