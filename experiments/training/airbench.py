"""The optimisers of the CIFAR-10 speed records: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a
Single GPU", and its later version with Muon.

There the loss is summed over the batch, here it is averaged: so rates are multiplied by the batch
size, and decays divided by it. The whitening kernel is not trained, its bias for three epochs only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from experiments.command_line.options import Optimisation

# Rates of the version with Muon: of all biases, and of the head.
BIAS_RATE, HEAD_RATE, BIAS_MOMENTUM = 0.053, 0.67, 0.85
# Of the version with SGD: how much faster biases learn.
BIAS_FACTOR = 64
WHITENING_EPOCHS = 3
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 3


class Course(NamedTuple):
    """What these recipes have to know of the run: its batches and its steps."""

    batch_size: int
    steps: int
    epoch_steps: int
    rate: Any  # step → factor of the rate, 1 at its highest


def airbench_sgd(options: Optimisation, course: Course | None) -> optax.GradientTransformation:
    """Nesterov momentum; `learning_rate` is for 1,024 images, decoupled from the momentum.

    s = 1024 (1 + 1/(1 − momentum)); rate/s, and 64 times that for biases; weight decay · batch/s,
    biases included, independent of the rate's highest value.
    """
    course = _given(course)
    scale = 1024 * (1 + 1 / (1 - options.momentum))
    decay = options.weight_decay * course.batch_size / scale
    rate = options.learning_rate / scale

    def group(rate: float, steps: int | None = None) -> optax.GradientTransformation:
        return _nesterov(course, rate, decay, options.momentum, course.rate, steps)

    return optax.partition(
        {
            "frozen": optax.set_to_zero(),
            "whitening bias": group(
                BIAS_FACTOR * rate, min(WHITENING_EPOCHS * course.epoch_steps, course.steps)
            ),
            "bias": group(BIAS_FACTOR * rate),
            "filter": group(rate),
            "head": group(rate),
        },
        _labels,
    )


def airbench_muon(options: Optimisation, course: Course | None) -> optax.GradientTransformation:
    """Muon on the filters, each renormalised to length √outputs; Nesterov SGD on biases and head.

    `learning_rate` and `momentum` are those of Muon; `weight_decay` those of biases and head, for a
    step at the highest rate. Rates fall linearly with `schedule`, that of the whitening bias to
    zero within three epochs.
    """
    course = _given(course)
    thaw = min(WHITENING_EPOCHS * course.epoch_steps, course.steps)

    def group(rate: float, factor: Any, steps: int | None = None) -> optax.GradientTransformation:
        return _nesterov(course, rate, options.weight_decay, BIAS_MOMENTUM, factor, steps)

    return optax.partition(
        {
            "frozen": optax.set_to_zero(),
            "whitening bias": group(BIAS_RATE, optax.linear_schedule(1.0, 0.0, thaw), thaw),
            "bias": group(BIAS_RATE, course.rate),
            "head": group(HEAD_RATE, course.rate),
            "filter": optax.chain(
                optax.trace(options.momentum, nesterov=True),
                _orthogonal(),
                optax.scale_by_schedule(lambda step: -options.learning_rate * course.rate(step)),
                _renormalised(),
            ),
        },
        _labels,
    )


def _given(course: Course | None) -> Course:
    if course is None:
        raise ValueError("course must be given for the airbench optimisers, got None")
    return course


def _labels(params: PyTree) -> PyTree:
    """Which group each parameter of an airbench network belongs to."""

    def label(path: Any, leaf: jax.Array) -> str:
        layer, kind = path[0].key, path[-1].key
        if layer == "whitening":
            return "frozen" if kind == "kernel" else "whitening bias"
        if leaf.ndim == 1:
            return "bias"
        return "head" if layer == "output" else "filter"

    return jax.tree_util.tree_map_with_path(label, params)


def _nesterov(
    course: Course, rate: float, decay: float, momentum: float, factor: Any, steps: int | None
) -> optax.GradientTransformation:
    """PyTorch's SGD with Nesterov momentum and decay/rate as its weight decay; for `steps` steps.

    rate is that of a summed loss.
    """
    n = course.batch_size

    def rate_of(step):
        scheduled = -rate * n * factor(step)
        return scheduled if steps is None else jnp.where(step < steps, scheduled, 0.0)

    return optax.chain(
        optax.add_decayed_weights(decay / (rate * n)),
        optax.trace(momentum, nesterov=True),
        optax.scale_by_schedule(rate_of),
    )


def _orthogonal() -> optax.GradientTransformation:
    """Each filter tensor as a matrix of outputs × inputs, brought near its orthogonal factor."""

    def orthogonal(update: jax.Array) -> jax.Array:
        matrix = update.reshape(-1, update.shape[-1])
        wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        wide = wide / (jnp.linalg.norm(wide) + 1e-7)
        a, b, c = NEWTON_SCHULZ
        for _ in range(NEWTON_SCHULZ_STEPS):
            square = wide @ wide.T
            wide = a * wide + (b * square + c * square @ square) @ wide
        back = wide if matrix.shape[0] <= matrix.shape[1] else wide.T
        return back.reshape(update.shape)

    return optax.stateless(lambda updates, _: jax.tree.map(orthogonal, updates))


def _renormalised() -> optax.GradientTransformation:
    """The update that also brings the parameter, before the step, to the length √outputs."""

    def renormalised(update: jax.Array, parameter: jax.Array) -> jax.Array:
        length = jnp.sqrt(jnp.asarray(parameter.shape[-1], parameter.dtype))
        return update + parameter * (length / jnp.linalg.norm(parameter) - 1)

    return optax.stateless(lambda updates, params: jax.tree.map(renormalised, updates, params))
