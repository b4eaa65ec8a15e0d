"""The learning rate as a function of the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.command_line.options import Optimisation

Schedule = Callable[[Any], Any]


def library_promotion() -> AbstractContextManager[None]:
    """Optax counts on JAX's ordinary promotion of dtypes; our own code does without."""
    return jax.numpy_dtype_promotion("standard")


def make_schedule(options: Optimisation, steps: int, epoch_steps: int) -> Schedule:
    """The course of the rate over a run of so many steps; `learning_rate` is its highest value.

    "plateau" is constant here: the factor that follows the validation accuracy is
    `plateau_factor`'s. A warm-up comes before the rest, whose own course it shortens.

    Raises:
        ValueError: there is no such schedule.
    """
    highest, rising = options.learning_rate, round(options.warmup * steps)
    left = max(steps - rising, 1)
    starts = {round(milestone * steps) - rising: options.decay for milestone in options.milestones}
    kinds: dict[str, Callable[[], Schedule]] = {
        "constant": partial(optax.constant_schedule, highest),
        "plateau": partial(optax.constant_schedule, highest),
        "cosine": partial(optax.cosine_decay_schedule, highest, left, options.final_rate),
        "onecycle": partial(optax.cosine_onecycle_schedule, steps, highest),
        "linear": partial(optax.linear_schedule, highest, options.final_rate * highest, left),
        "steps": partial(optax.piecewise_constant_schedule, highest, starts),
        "exponential": partial(
            optax.exponential_decay, highest, epoch_steps, options.decay, staircase=True
        ),
    }
    if options.schedule not in kinds:
        raise ValueError(f"schedule must be one of {', '.join(kinds)}, got {options.schedule!r}")
    rate = kinds[options.schedule]()
    if rising:
        start = options.warmup_from * highest
        rate = optax.join_schedules([optax.linear_schedule(start, highest, rising), rate], [rising])

    def schedule(step):
        with library_promotion():
            return rate(step)

    return schedule


def plateau_factor(accuracies: Sequence[float], decay: float, patience: int) -> float:
    """What multiplies the rate after these validation accuracies, one per epoch.

    It shrinks by `decay` whenever so many epochs in a row brought no better accuracy than before.
    """
    factor, best, waited = 1.0, -1.0, 0
    for accuracy in accuracies:
        if accuracy > best:
            best, waited = accuracy, 0
        else:
            waited += 1
        if waited == patience:
            factor, waited = factor * decay, 0
    return factor


def rate_at(schedule: Schedule, step: int) -> float:
    """The rate of one step, as a number."""
    return float(schedule(jnp.asarray(step, jnp.int32)))
