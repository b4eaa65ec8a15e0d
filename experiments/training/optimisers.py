"""The optimisers by name, from optax.  Biases and the parameters of norms do not decay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import optax
from jaxtyping import PyTree
from optax.contrib import MuonDimensionNumbers, muon

from experiments.command_line.options import Optimisation
from experiments.training.airbench import Course, airbench_muon, airbench_sgd
from experiments.training.schedules import Schedule


def make_optimiser(
    options: Optimisation, schedule: Schedule, course: Course | None = None
) -> optax.GradientTransformation:
    """Optax's optimiser of this name, behind clipping and L2 decay where they are asked for.

    Decay is decoupled from the gradient for adamw and muon. The airbench recipes need a course.

    Raises:
        ValueError: there is no such optimiser.
    """
    kind, decay = options.optimiser, options.weight_decay
    moments = {"b1": options.momentum, "b2": options.second_moment}
    kinds: dict[str, Callable[[], Any]] = {
        "sgd": partial(optax.sgd, schedule),
        "momentum": partial(optax.sgd, schedule, momentum=options.momentum),
        "nesterov": partial(optax.sgd, schedule, momentum=options.momentum, nesterov=True),
        "adam": partial(optax.adam, schedule, **moments),
        "adamw": partial(optax.adamw, schedule, **moments, weight_decay=decay, mask=weights),
        "muon": partial(_muon, options, schedule),
        "airbench-sgd": partial(airbench_sgd, options, course),
        "airbench-muon": partial(airbench_muon, options, course),
    }
    if kind not in kinds:
        raise ValueError(f"optimiser must be one of {', '.join(kinds)}, got {kind!r}")
    parts = [kinds[kind]()]
    if decay > 0 and kind in ("sgd", "momentum", "nesterov", "adam"):
        parts.insert(0, optax.add_decayed_weights(decay, mask=weights))
    if options.clip is not None:
        parts.insert(0, optax.clip_by_global_norm(options.clip))
    return parts[0] if len(parts) == 1 else optax.chain(*parts)


def weights(params: PyTree) -> PyTree:
    """Which parameters decay: all but biases and the scales of norms."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _muon(options: Optimisation, schedule: Schedule) -> optax.GradientTransformation:
    """Muon on every weight, as a matrix of inputs × outputs; Adam on biases and norms.

    Jordan 2024, "Muon: An optimizer for hidden layers in neural networks".
    """

    def matrices(params):
        return jax.tree.map(
            lambda p: (
                MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1) if p.ndim > 1 else None
            ),
            params,
        )

    return muon(
        schedule,
        beta=options.momentum,
        weight_decay=options.weight_decay,
        muon_weight_dimension_numbers=matrices,
    )
