"""One step of training: a batch drawn and augmented, gradients, the update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Shaped, UInt8

from experiments import augment as changes
from experiments.training.averaging import follow
from experiments.training.devices import on_mesh, whole
from experiments.training.gradients import differentiate
from experiments.training.precision import all_finite, choose, next_scale
from experiments.training.recipe import Metrics, Plan, Recipe, TrainState
from experiments.training.schedules import library_promotion


def augment(key: Array, images: UInt8[Array, "n h w c"], recipe: Recipe) -> Float[Array, "n h w c"]:
    """Each image shifted, turned, magnified, … by amounts of its own."""
    a = recipe.augmentation
    shift_key, turn_key = jax.random.split(key)
    images = changes.random_shift(shift_key, images, a.shift, a.shift_mode)
    images = images.astype(recipe.arithmetic)
    return changes.random_affine(turn_key, images, recipe.ranges)


def flip(
    key: Array, images: UInt8[Array, "n h w c"], chosen: Int[Array, " n"], plan: Plan, a: Any
) -> UInt8[Array, "n h w c"]:
    """Images mirrored as the augmentation says; `chosen` are their numbers in the data set."""
    n = images.shape[0]
    if a.flip == "random":
        images = changes.flip_where(changes.random_bits(jax.random.fold_in(key, 2), n), images)
    elif a.flip == "alternating":
        images = changes.alternating_flip(plan.run_key, images, chosen, plan.epoch)
    if a.vertical_flip:
        images = changes.flip_where(changes.random_bits(jax.random.fold_in(key, 3), n), images, 1)
    return images


def normalise(images: Shaped[Array, "n h w c"], recipe: Recipe) -> Float[Array, "n h w c"]:
    """(pixel / 255 − mean) / std, per channel."""
    dtype = recipe.arithmetic
    mean = jnp.broadcast_to(jnp.asarray(recipe.mean, dtype), images.shape)
    std = jnp.broadcast_to(jnp.asarray(recipe.std, dtype), images.shape)
    return (images.astype(dtype) / 255 - mean) / std


def prepare(
    recipe: Recipe,
    key: Array,
    images: UInt8[Array, "n h w c"],
    labels: Int[Array, " n"],
    chosen: Int[Array, " n"],
    plan: Plan,
) -> tuple[Float[Array, "n h w c"], Array]:
    """What the network and the loss are given for these images: x, and labels or targets."""
    a = recipe.augmentation
    images = flip(key, images, chosen, plan, a)
    x = normalise(augment(key, images, recipe), recipe)
    x = changes.random_cutout(jax.random.fold_in(key, 4), x, a.cutout)
    targets = labels
    if a.mixup > 0 or a.cutmix > 0:
        targets = jax.nn.one_hot(labels, recipe.classes, dtype=recipe.arithmetic)
        mix, alpha = (changes.mixup, a.mixup) if a.mixup > 0 else (changes.cutmix, a.cutmix)
        x, targets = mix(jax.random.fold_in(key, 5), x, targets, alpha)
    return as_input(x, recipe), targets


def as_input(x: Float[Array, "n h w c"], recipe: Recipe) -> Float[Array, "n *hw c"]:
    """Images in the shape that the network reads: row after row where it reads signals."""
    return x.reshape(x.shape[0], -1, x.shape[-1]) if recipe.signals else x


def classes_of(logits: Float[Array, "n k"]) -> Int[Array, " n"]:
    """The class of the largest logit."""
    return lax.argmax(logits, 1, jnp.int32)  # jnp.argmax's dtype changes with 64-bit mode


def step_keys(plan: Plan, index) -> tuple[Array, Array]:
    """The keys of a step: of what happens to the images, and of the network."""
    augment_key, net_key = jax.random.split(jax.random.fold_in(plan.key, index))
    return augment_key, net_key


def make_update(recipe: Recipe) -> Callable[..., tuple[TrainState, Metrics]]:
    """update(state, x, targets, labels, key, step): gradients, and what follows from them.

    A step whose gradients are not finite is left out where the loss is scaled, as its overflow
    says nothing but that the scale is too large.
    """
    gradients_of = differentiate(recipe)

    def update(state: TrainState, x, targets, labels, key, step):
        scale = None if state.scale is None else state.scale.scale
        value, logits, net_state, gradients = gradients_of(
            state.params, state.net_state, x, targets, key, scale
        )
        if scale is not None:
            gradients = jax.tree.map(lambda g: g / scale, gradients)
        with library_promotion():
            updates, opt_state = recipe.optimiser.update(gradients, state.opt_state, state.params)
            if (factor := state.factor) is not None:
                updates = jax.tree.map(lambda u: u * factor.astype(u.dtype), updates)
            params = optax.apply_updates(state.params, updates)
        average, (params, net_state) = follow(
            recipe.averaging, state.average, (params, net_state), step
        )
        after = state._replace(
            params=params, net_state=net_state, opt_state=opt_state, average=average
        )
        if state.scale is not None:
            finite = all_finite(gradients)
            after = choose(finite, after, state)._replace(scale=next_scale(state.scale, finite))
        after = whole(recipe.mesh, after)
        hits = classes_of(logits) == labels
        return after, Metrics(value, jnp.sum(hits, dtype=jnp.int32))

    return update


def make_batch(recipe: Recipe, streamed: bool = False) -> Callable[..., tuple[Array, Array, Array]]:
    """batch(key, images, labels, plan, index) → x, targets, labels of the index-th step.

    The images are the whole data set's or, streamed, the batch's. On a mesh the results are spread.
    """

    def batch(key, images, labels, plan: Plan, index):
        chosen = plan.order[index]
        if not streamed:
            images, labels = images[chosen], labels[chosen]
        x, targets = prepare(recipe, key, images, labels, chosen, plan)
        return x, targets, labels

    return on_mesh(recipe.mesh, batch, batches=3)


def make_step(recipe: Recipe, streamed: bool = False) -> Callable[..., tuple[TrainState, Metrics]]:
    """step(state, images, labels, plan, index): the index-th step of the epoch of this plan."""
    update, batch = make_update(recipe), make_batch(recipe, streamed)

    def step(state: TrainState, images, labels, plan: Plan, index):
        augment_key, net_key = step_keys(plan, index)
        x, targets, chosen_labels = batch(augment_key, images, labels, plan, index)
        return update(state, x, targets, chosen_labels, net_key, plan.start + index)

    return step
