"""Loss and gradients of one batch, by each of the three roads, in any precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree

import jaxcnn
from experiments.training.precision import cast
from experiments.training.recipe import Recipe, network_of

Gradients = Callable[..., tuple[Array, Array, PyTree, PyTree]]


def loss_of(recipe: Recipe, scale: Array | None = None, examples: int = 1) -> Callable[..., Array]:
    """Cross-entropy averaged over the examples; multiplied by the scale where there is one.

    The scale enters as a weight of the classes: so every road, the explicit one too, scales δ at
    the logits, and half precision overflows nowhere else.
    """
    smoothing = recipe.label_smoothing
    if scale is None:
        return partial(jaxcnn.softmax_cross_entropy, label_smoothing=smoothing)
    weight = jnp.broadcast_to((scale / examples).astype(recipe.arithmetic), (recipe.classes,))
    return partial(
        jaxcnn.softmax_cross_entropy,
        label_smoothing=smoothing,
        reduction="sum",
        class_weights=weight,
    )


def differentiate(recipe: Recipe) -> Gradients:
    """(params, net_state, x, targets, key, scale=None) → loss, logits, new net_state, gradients.

    "hand": `jax.grad` through the rules. "autodiff": `jax.grad` of the same network on plain `lax`
    operations. "explicit": the rules called in order, without differentiation by JAX. Gradients
    have the dtype of the parameters, and are multiplied by the scale as the loss is not.
    """
    roads = {"hand": _by_grad, "autodiff": _by_grad, "explicit": _explicitly}
    net = network_of(recipe)
    road = roads[recipe.rules]

    def whole(params, net_state, x, targets, key, scale=None):
        loss = loss_of(recipe, scale, x.shape[0])
        return road(recipe, net, loss, params, net_state, x, targets, key)

    return whole if recipe.accumulate == 1 else _in_parts(recipe, whole)


def _explicitly(recipe, net, loss, params, net_state, x, targets, key):
    low = cast(params, recipe.arithmetic) if recipe.mixed else params
    found = jaxcnn.backprop(net, low, net_state, x, targets, loss, key=key)
    gradients = cast(found.gradients, recipe.dtype) if recipe.mixed else found.gradients
    value = _reported(recipe, found.loss, found.outputs, targets)
    return value, found.outputs, found.state, gradients


def _by_grad(recipe, net, loss, params, net_state, x, targets, key):
    if recipe.rules == "autodiff":
        twin = jaxcnn.autodiff_twin(loss.func)
        loss = partial(twin, **loss.keywords)

    def f(params, net_state, x, targets, key):
        low = cast(params, recipe.arithmetic) if recipe.mixed else params
        logits, net_state = net.apply(low, net_state, x, key=key, train=True)
        return loss(logits, targets), (logits, net_state)

    (value, (logits, net_state)), gradients = jax.value_and_grad(f, has_aux=True)(
        params, net_state, x, targets, key
    )
    return _reported(recipe, value, logits, targets), logits, net_state, gradients


def _reported(recipe: Recipe, value: Array, logits: Array, targets: Array) -> Array:
    """The loss to be shown: half precision would keep three digits of it, and its scale."""
    if not recipe.mixed:
        return value
    wide = targets if jnp.issubdtype(targets.dtype, jnp.integer) else targets.astype(recipe.dtype)
    return loss_of(recipe)(logits.astype(recipe.dtype), wide)


def _in_parts(recipe: Recipe, whole: Gradients) -> Gradients:
    """The same for a batch in parts, one after the other; statistics of norms are each part's."""
    parts = recipe.accumulate

    def divided(leaf):
        # Every part-th example: neighbours stay on the device that holds them.
        return jnp.swapaxes(leaf.reshape(-1, parts, *leaf.shape[1:]), 0, 1)

    def accumulated(params, net_state, x, targets, key, scale=None):
        def one(carry, part):
            net_state, total, value = carry
            index, x, targets = part
            part_key = jax.random.fold_in(key, index)
            loss, logits, net_state, gradients = whole(
                params, net_state, x, targets, part_key, scale
            )
            total = jax.tree.map(lambda a, b: a + b / parts, total, gradients)
            return (net_state, total, value + loss / parts), logits

        zeros = jax.tree.map(jnp.zeros_like, params)
        start = (net_state, zeros, jnp.zeros((), recipe.dtype))
        indices = jnp.arange(parts, dtype=jnp.int32)
        (net_state, total, value), logits = lax.scan(
            one, start, (indices, divided(x), divided(targets))
        )
        logits = jnp.swapaxes(logits, 0, 1).reshape(-1, logits.shape[-1])
        return value, logits, net_state, total

    return accumulated
