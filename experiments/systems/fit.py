"""Training for the small systems: epochs scanned on the device, as pure functions.

A task says what a batch of raw data is to the network and what its outputs cost. Everything random
follows from one key: batch b of epoch e draws from keys that `fold_in` makes of e and b.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Key, PyTree

import jaxcnn
from jaxcnn.layers import Layer


class Trained(NamedTuple):
    """What a network is applied with after training."""

    params: PyTree
    net_state: PyTree


@dataclass(frozen=True)
class Task:
    """What is learned.

    prepare(key, batch) → (x, targets): draws what is random in an example, such as a scene's
    clutter, and scales. loss(outputs, targets) → one number.
    """

    net: Layer
    prepare: Callable[[Key[Array, ""], PyTree], tuple[Array, PyTree]]
    loss: Callable[[PyTree, PyTree], Float[Array, ""]]


@dataclass(frozen=True)
class Settings:
    """How it is learned: Adam with decoupled weight decay of the kernels, one-cycle schedule."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0


Report = Callable[[int, float, float], None]  # epoch, mean loss of the epoch, its seconds


def fit(
    task: Task,
    data: PyTree,
    settings: Settings,
    *,
    key: Key[Array, ""],
    input_shape: tuple[int, ...],
    report: Report | None = None,
    start_from: Trained | None = None,
) -> Trained:
    """Train on arrays that share their first axis, from scratch or from what is given.

    Raises:
        ValueError: the batches are larger than the data.
        FloatingPointError: the loss is no longer a number.
    """
    (examples,) = {len(leaf) for leaf in jax.tree.leaves(data)}
    steps = examples // settings.batch_size
    if steps < 1:
        raise ValueError(
            f"batch_size must be at most the {examples} examples, got {settings.batch_size}"
        )
    init_key, epoch_key = jax.random.split(key)
    params, net_state = start_from or task.net.init(init_key, input_shape)
    # The first epoch donates its arguments: what was given stays the caller's.
    params, net_state = jax.tree.map(jnp.array, (params, net_state))
    optimiser = _optimiser(settings, steps)
    carry = (params, net_state, optimiser.init(params))
    data = jax.tree.map(jnp.asarray, data)
    step = partial(_epoch, task, optimiser, steps, settings.batch_size)
    epoch = jaxcnn.jit(step, donate_argnums=0)
    for number in range(1, settings.epochs + 1):
        start = time.perf_counter()
        carry, losses = epoch(carry, data, jax.random.fold_in(epoch_key, number))
        loss = float(np.mean(np.asarray(losses, np.float64)))
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss} in epoch {number}")
        if report is not None:
            report(number, loss, time.perf_counter() - start)
    return Trained(carry[0], carry[1])


def _optimiser(settings: Settings, steps: int) -> optax.GradientTransformation:
    total = settings.epochs * steps

    def rate(step):
        with jax.numpy_dtype_promotion("standard"):  # as optax expects
            return optax.cosine_onecycle_schedule(total, settings.learning_rate)(step)

    return optax.adamw(
        rate,
        weight_decay=settings.weight_decay,
        mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
    )


def _epoch(task: Task, optimiser, steps: int, batch_size: int, carry, data, key):
    (examples,) = {len(leaf) for leaf in jax.tree.leaves(data)}
    order = jax.random.permutation(key, jnp.arange(examples, dtype=jnp.int32))
    order = order[: steps * batch_size].reshape(steps, batch_size)

    def step(carry, chosen_and_index):
        chosen, index = chosen_and_index
        params, net_state, opt_state = carry
        prepare_key, net_key = jax.random.split(jax.random.fold_in(key, index))
        x, targets = task.prepare(prepare_key, jax.tree.map(lambda leaf: leaf[chosen], data))

        def loss(params):
            outputs, new = task.net.apply(params, net_state, x, key=net_key, train=True)
            return task.loss(outputs, targets), new

        (value, net_state), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimiser.update(gradients, opt_state, params)
            params = optax.apply_updates(params, updates)
        return (params, net_state, opt_state), value

    return lax.scan(step, carry, (order, jnp.arange(steps, dtype=jnp.int32)))


def predict(
    net: Layer,
    trained: Trained,
    x: ArrayLike,
    batch_size: int = 200,
    prepare: Callable[[Array], Array] = lambda x: x,
) -> Any:
    """The network's outputs, outside training, in batches on the device.

    prepare: what a batch becomes before the network sees it; the whole need never stand in memory.
    """
    x = jnp.asarray(x)
    n = len(x)
    # The last batch is filled up with repeats of the last example, which are cut off again.
    rows = np.minimum(np.arange(-(-n // batch_size) * batch_size, dtype=np.int32), n - 1)

    @jaxcnn.jit
    def run(trained, x):
        def one(chosen):
            return net.apply(trained.params, trained.net_state, prepare(x[chosen]))[0]

        outputs = lax.map(one, jnp.asarray(rows.reshape(-1, batch_size)))
        return jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:])[:n], outputs)

    return jax.tree.map(np.asarray, run(trained, x))
