"""Question: what does a trained network see in an image?

Command:  python -m experiments.predict IMAGE… --run runs/<run>
Result:   a line per image: file, class, probability, and the next best
Time:     3 s for LeNet-5
Hardware: 2 cores of an AMD EPYC (AVX2), float32, jax 0.10.2

Reads images of any size and format that Pillow knows. Digits are expected as in MNIST, light on
dark; --invert is for ink on paper. What is transparent stands on white, or on black behind light
ink, or on --background.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro

from experiments import data, training
from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.data.picture import Background
from experiments.plots.looks import probabilities
from experiments.runs import saved
from experiments.training import material
from experiments.training.precision import products
from experiments.training.recipes import make_recipe


@dataclass(frozen=True)
class PredictOptions:
    """Classify images by a saved run."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Files of images."""
    run: Path
    """Folder of a finished run."""
    top: int = 3
    """Classes shown for each image."""
    invert: bool = False
    """Turn light and dark around first."""
    background: Background | None = None
    """What stands behind transparent pixels; otherwise white, or black behind light ink."""


@program.telling
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 for a mistake in it."""
    options = tyro.cli(
        PredictOptions, args=arguments, prog="python -m experiments.predict", description=__doc__
    )
    for path, answers in predict(options):
        shown = "  ".join(f"{name} {100 * chance:.1f} %" for name, chance in answers)
        print(f"{path}: {shown}")
    return 0


def predict(options: PredictOptions) -> list[tuple[Path, list[tuple[str, float]]]]:
    """For each file the likeliest classes with their probabilities.

    Raises:
        UserError: there is no such run, or a file is no image.
    """
    if not options.images:
        raise UserError("IMAGE must be one file at least, got none.")
    stored, params, net_state = saved.read(options.run)
    about = data.describe(stored)
    if not 1 <= options.top <= about.classes:
        raise UserError(f"--top must be from 1 to {about.classes}, got {options.top}.")
    pixels = np.stack(
        [
            material.read_picture(
                path, stored, invert=options.invert, background=options.background
            )
            for path in options.images
        ]
    )
    with jax.enable_x64(stored.precision == "float64"), products(stored.precision):
        recipe = dataclasses.replace(make_recipe(stored, 1, 1), mesh=None)
        params, net_state = jax.tree.map(jax.numpy.asarray, (params, net_state))
        state = training.TrainState(params, net_state, opt_state=None)
        judge = training.compile_predict(recipe, state, jax.numpy.asarray(pixels), len(pixels))
        chances = probabilities(judge(state.params, state.net_state))
    names = about.class_names
    best = np.argsort(-chances, axis=-1, kind="stable")[:, : options.top]
    return [
        (path, [(names[k], float(row[k])) for k in order])
        for path, row, order in zip(options.images, chances, best, strict=True)
    ]


if __name__ == "__main__":
    program.run(main)
