"""From the options of a run to its recipe."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from experiments import data, training
from experiments.command_line.options import TrainOptions
from experiments.training import material, networks
from experiments.training.airbench import Course


def make_recipe(
    options: TrainOptions,
    steps: int,
    epoch_steps: int,
    images: material.Material | None = None,
    mesh: jax.sharding.Mesh | None = None,
) -> training.Recipe:
    """What stays fixed during the run; without images, for parameters that are loaded."""
    about, network = data.describe(options), networks.find(options.model)
    rate = training.make_schedule(options.optimisation, steps, epoch_steps)
    relative = dataclasses.replace(options.optimisation, learning_rate=1.0)
    course = Course(
        options.batch_size, steps, epoch_steps,
        training.make_schedule(relative, steps, epoch_steps),
    )  # fmt: skip
    half = options.precision in ("bfloat16", "float16")
    recipe = training.Recipe(
        net=None,
        optimiser=training.make_optimiser(options.optimisation, rate, course),
        batch_size=options.batch_size,
        mean=about.mean,
        std=about.std,
        classes=about.classes,
        rules=options.rules,
        augmentation=options.augmentation,
        dtype=np.dtype("float64" if options.precision == "float64" else "float32"),
        compute=jax.numpy.dtype(options.precision) if half else None,
        rate=rate,
        label_smoothing=options.label_smoothing,
        accumulate=options.accumulate,
        averaging=training.Averaging(options.average, options.average_decay, steps),
        plateau=options.optimisation.schedule == "plateau",
        tta=options.tta,
        signals=network.signals,
        mesh=mesh,
        compiler_options=options.hardware.compiler_options,
    )
    first = None
    if images is not None and images.first is not None:
        wide = dataclasses.replace(recipe, dtype=np.dtype("float32"), compute=None)
        first = np.asarray(training.normalise(jax.numpy.asarray(images.first), wide))
    net = networks.make(options.model, about.classes, first, small=options.smoke)
    return dataclasses.replace(recipe, net=net)
