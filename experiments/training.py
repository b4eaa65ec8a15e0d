"""The training loop as pure functions: a step, an epoch of steps on the device, predictions.

The whole (small) data set lives on the device as uint8. Epoch e is a function of (state, seed, e):
its permutation and augmentation follow from keys that `fold_in` makes of e, so that nothing depends
on what ran before. Each epoch has its own permutation, whose last, partial batch is dropped: an
image that one epoch leaves out comes in the next ones.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Key, PyTree, Shaped, UInt8

import jaxcnn
from experiments.augment import random_shift, random_turn


class TrainState(NamedTuple):
    """All that a step changes."""

    params: PyTree
    net_state: PyTree
    opt_state: PyTree


class Metrics(NamedTuple):
    """Of one step or of an epoch's steps, with augmentation and while the parameters change."""

    loss: Float[Array, "*steps"]
    correct: Int[Array, "*steps"]


class Plan(NamedTuple):
    """What is random in an epoch."""

    order: Int[Array, "steps batch"]
    key: Key[Array, ""]


@dataclass(frozen=True)
class Recipe:
    """What is fixed for a whole run.  rules: see `differentiate`."""

    net: Any
    rules: str
    optimiser: optax.GradientTransformation
    mean: tuple[float, ...]
    std: tuple[float, ...]
    batch_size: int
    shift: int
    rotation: float
    zoom: float
    dtype: Any = jnp.float32


RULES = ("hand", "explicit", "autodiff")

Epoch = Callable[[TrainState, Array, Array, Key[Array, ""], int], tuple[TrainState, Metrics]]


# The optimiser ------------------------------------------------------------------------------------


def library_promotion() -> AbstractContextManager[None]:
    """Optax counts on JAX's ordinary promotion of dtypes; our own code does without."""
    return jax.numpy_dtype_promotion("standard")


def learning_rate_schedule(kind: str, highest: float, steps: int) -> Callable[[Any], Any]:
    """The learning rate as a function of the step; `highest` is its highest value."""
    kinds = {
        "constant": partial(optax.constant_schedule, highest),
        "cosine": partial(optax.cosine_decay_schedule, highest, steps),
        "onecycle": partial(optax.cosine_onecycle_schedule, steps, highest),
    }
    if kind not in kinds:
        raise ValueError(f"schedule must be one of {', '.join(kinds)}, got {kind!r}")
    rate = kinds[kind]()

    def schedule(step):
        with library_promotion():
            return rate(step)

    return schedule


def make_optimiser(
    kind: str, schedule: Callable[[Any], Any], weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Optax's optimiser of this name.  Biases do not decay; decay is decoupled in adamw only."""
    if kind == "adamw":
        return optax.adamw(schedule, weight_decay=weight_decay, mask=_weights)
    kinds = {
        "sgd": optax.sgd,
        "momentum": partial(optax.sgd, momentum=0.9),
        "nesterov": partial(optax.sgd, momentum=0.9, nesterov=True),
        "adam": optax.adam,
    }
    if kind not in kinds:
        raise ValueError(f"optimiser must be adamw or one of {', '.join(kinds)}, got {kind!r}")
    optimiser = kinds[kind](schedule)
    if weight_decay == 0:
        return optimiser
    return optax.chain(optax.add_decayed_weights(weight_decay, mask=_weights), optimiser)


def _weights(params: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)  # all but biases


# One step -----------------------------------------------------------------------------------------


def initial_state(recipe: Recipe, key: Key[Array, ""], shape: tuple[int, ...]) -> TrainState:
    """For images of this shape, without a batch axis.

    Drawn in float32 whatever the dtype, so that both precisions start at the same point.
    """
    drawn = recipe.net.init(key, shape, dtype=jnp.float32)
    params, net_state = jax.tree.map(lambda leaf: leaf.astype(recipe.dtype), drawn)
    return TrainState(params, net_state, recipe.optimiser.init(params))


def augment(
    key: Key[Array, ""], images: UInt8[Array, "n h w c"], recipe: Recipe
) -> Float[Array, "n h w c"]:
    """Each image shifted, turned and magnified by amounts of its own."""
    shift_key, turn_key = jax.random.split(key)
    images = random_shift(shift_key, images, recipe.shift).astype(recipe.dtype)
    if recipe.rotation == 0 and recipe.zoom == 0:
        return images
    return random_turn(turn_key, images, recipe.rotation, recipe.zoom)


def normalise(images: Shaped[Array, "n h w c"], recipe: Recipe) -> Float[Array, "n h w c"]:
    """(pixel / 255 − mean) / std, per channel."""
    mean = jnp.broadcast_to(jnp.asarray(recipe.mean, recipe.dtype), images.shape)
    std = jnp.broadcast_to(jnp.asarray(recipe.std, recipe.dtype), images.shape)
    return (images.astype(recipe.dtype) / 255 - mean) / std


def classes_of(logits: Float[Array, "n k"]) -> Int[Array, " n"]:
    """The class of the largest logit."""
    return lax.argmax(logits, 1, jnp.int32)  # jnp.argmax's dtype changes with 64-bit mode


def network_of(recipe: Recipe) -> Any:
    """The recipe's network; for "autodiff" its plain twin."""
    if recipe.rules not in RULES:
        raise ValueError(f"rules must be one of {', '.join(RULES)}, got {recipe.rules!r}")
    return jaxcnn.autodiff_twin(recipe.net) if recipe.rules == "autodiff" else recipe.net


def differentiate(recipe: Recipe) -> Callable[..., tuple[Array, Array, PyTree, PyTree]]:
    """loss, logits, new network state and gradients, by the recipe's rules.

    "hand": `jax.grad` through the rules. "autodiff": `jax.grad` of the same network on plain `lax`
    operations. "explicit": the rules called in order, without differentiation by JAX.
    """
    net, loss_function = network_of(recipe), jaxcnn.softmax_cross_entropy
    if recipe.rules == "explicit":

        def explicitly(params, net_state, x, labels, key):
            found = jaxcnn.backprop(net, params, net_state, x, labels, loss_function, key=key)
            return found.loss, found.outputs, found.state, found.gradients

        return explicitly
    if recipe.rules == "autodiff":
        loss_function = jaxcnn.autodiff_twin(loss_function)

    def loss(params, net_state, x, labels, key):
        logits, net_state = net.apply(params, net_state, x, key=key, train=True)
        return loss_function(logits, labels), (logits, net_state)

    def by_grad(params, net_state, x, labels, key):
        (value, (logits, net_state)), gradients = jax.value_and_grad(loss, has_aux=True)(
            params, net_state, x, labels, key
        )
        return value, logits, net_state, gradients

    return by_grad


def make_step(recipe: Recipe) -> Callable[..., tuple[TrainState, Metrics]]:
    """step(state, images, labels, plan, index): the index-th step of the epoch of this plan."""
    gradients_of = differentiate(recipe)

    def step(state: TrainState, images, labels, plan: Plan, index):
        chosen = plan.order[index]
        augment_key, net_key = jax.random.split(jax.random.fold_in(plan.key, index))
        x = normalise(augment(augment_key, images[chosen], recipe), recipe)
        value, logits, net_state, gradients = gradients_of(
            state.params, state.net_state, x, labels[chosen], net_key
        )
        with library_promotion():
            updates, opt_state = recipe.optimiser.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
        hits = classes_of(logits) == labels[chosen]
        metrics = Metrics(value, jnp.sum(hits, dtype=jnp.int32))
        return TrainState(params, net_state, opt_state), metrics

    return step


# One epoch ----------------------------------------------------------------------------------------


def plan_epoch(key: Key[Array, ""], epoch, images: int, batch_size: int) -> Plan:
    """The order of the images in this epoch, and the key of all else that is random in it."""
    order_key, step_key = jax.random.split(jax.random.fold_in(key, epoch))
    steps = images // batch_size
    order = jax.random.permutation(order_key, jnp.arange(images, dtype=jnp.int32))
    return Plan(order[: steps * batch_size].reshape(steps, batch_size), step_key)


def scanned_epoch(recipe: Recipe) -> Callable[..., tuple[TrainState, Metrics]]:
    """epoch(state, images, labels, key, number): all steps in one `lax.scan`, to be jitted."""
    step = make_step(recipe)

    def epoch(state, images, labels, key, number):
        plan = plan_epoch(key, number, images.shape[0], recipe.batch_size)
        indices = jnp.arange(plan.order.shape[0], dtype=jnp.int32)
        return lax.scan(lambda s, i: step(s, images, labels, plan, i), state, indices)

    return epoch


def compile_scanned(recipe: Recipe, state: TrainState, images, labels, key) -> Epoch:
    """The scanned epoch, compiled, with the state's buffers reused: one call to the device."""
    epoch = jax.jit(scanned_epoch(recipe), donate_argnums=0)
    compiled = epoch.lower(state, images, labels, key, np.int32(0)).compile()

    def run(state, images, labels, key, number):
        state, metrics = compiled(state, images, labels, key, np.int32(number))
        return state, jax.device_get(metrics)

    return run


def compile_looped(recipe: Recipe, state: TrainState, images, labels, key) -> Epoch:
    """The same epoch as a loop on the host over compiled steps: same step function, plan, keys."""
    n = images.shape[0]
    plan_function = jax.jit(partial(plan_epoch, images=n, batch_size=recipe.batch_size))
    plan_compiled = plan_function.lower(key, np.int32(0)).compile()
    plan = plan_compiled(key, np.int32(0))
    step = jax.jit(make_step(recipe), donate_argnums=0)
    step_compiled = step.lower(state, images, labels, plan, np.int32(0)).compile()

    def run(state, images, labels, key, number):
        plan = plan_compiled(key, np.int32(number))
        each = []
        for index in range(plan.order.shape[0]):
            state, metrics = step_compiled(state, images, labels, plan, np.int32(index))
            each.append(metrics)
        return state, jax.tree.map(lambda *values: np.stack(values), *jax.device_get(each))

    return run


def compile_epoch(recipe: Recipe, state: TrainState, images, labels, key) -> Epoch:
    """The faster of the two forms; they give the same numbers, to rounding.

    On the CPU the kernel gradient that JAX derives is a convolution with unusual dimension numbers,
    which XLA runs some 70 times slower inside a `lax.scan` than in a single step (measured with
    four convolutions: 182 ms a step, scanned 6.2 s). The hand-written rules state it as an ordinary
    convolution and may be scanned; autodiff is given the loop, in which it is at its best.
    """
    form = compile_looped if recipe.rules == "autodiff" else compile_scanned
    return form(recipe, state, images, labels, key)


# Evaluation ---------------------------------------------------------------------------------------


def compile_predict(
    recipe: Recipe, state: TrainState, images: UInt8[Array, "n h w c"], batch_size: int = 200
) -> Callable[[PyTree, PyTree], Int[Array, " n"]]:
    """predict(params, net_state) → the class of each of these images, without augmentation."""
    net = network_of(recipe)
    n = images.shape[0]
    # The last batch is filled up with repeats of the last image, which are cut off again.
    batches = np.minimum(np.arange(-(-n // batch_size) * batch_size, dtype=np.int32), n - 1)
    batches = batches.reshape(-1, batch_size)

    def predict(params, net_state, images):
        def one(indices):
            logits, _ = net.apply(params, net_state, normalise(images[indices], recipe))
            return classes_of(logits)

        return lax.map(one, jnp.asarray(batches)).reshape(-1)[:n]

    compiled = jax.jit(predict).lower(state.params, state.net_state, images).compile()
    return lambda params, net_state: compiled(params, net_state, images)


def confusion_counts(
    labels: np.ndarray, predicted: np.ndarray, classes: int = 10
) -> Int[np.ndarray, "classes classes"]:
    """counts[t, p]: images of class t that were taken for class p."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts
