"""Question: what does a trained network see in an image?

Command:  python -m experiments.predict IMAGE… --run runs/<run>
Result:   a line per image: file, class, probability, and the next best
Time:     3 s for LeNet-5
Hardware: 2 cores of an AMD EPYC (AVX2), float32, jax 0.10.2

Reads images of any size and format that Pillow knows. Digits are expected as in MNIST, light on
dark; --invert is for ink on paper.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro
from PIL import Image, ImageOps

from experiments import data, material, networks, runs, training
from experiments.data.picture import open_picture
from experiments.data.stream import crop
from experiments.options import UserError
from experiments.plots.looks import probabilities
from experiments.recipes import make_recipe


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 for a mistake in it."""
    options = tyro.cli(
        PredictOptions, args=arguments, prog="python -m experiments.predict", description=__doc__
    )
    try:
        for path, answers in predict(options):
            shown = "  ".join(f"{name} {100 * chance:.1f} %" for name, chance in answers)
            print(f"{path}: {shown}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def predict(options: PredictOptions) -> list[tuple[Path, list[tuple[str, float]]]]:
    """For each file the likeliest classes with their probabilities.

    Raises:
        UserError: there is no such run, or a file is no image.
    """
    if not options.images:
        raise UserError("IMAGE must be one file at least, got none.")
    stored = runs.stored_options(options.run)
    params, net_state = runs.load_parameters(options.run)
    about = data.DATASETS[stored.dataset]
    if not 1 <= options.top <= about.classes:
        raise UserError(f"--top must be from 1 to {about.classes}, got {options.top}.")
    pixels = np.stack([read(path, stored, options.invert) for path in options.images])
    with jax.enable_x64(stored.precision == "float64"):
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


def read(path: Path, options, invert: bool) -> np.ndarray:
    """The image as the run's network takes it, uint8 h w c.

    Raises:
        UserError: the file cannot be read, or is no image.
    """
    about, network = data.DATASETS[options.dataset], networks.NETWORKS[options.model]
    h, w, channels = about.shape
    picture = open_picture(path, grey=channels == 1, invert=invert)
    if about.streamed:
        return crop(np.asarray(picture), network.size or h, None)
    if picture.size != (w, h):
        picture = ImageOps.pad(picture, (w, h), Image.Resampling.LANCZOS)
    pixels = np.asarray(picture, np.uint8).reshape(1, h, w, channels)
    return material.fit_images(pixels, options)[0]


if __name__ == "__main__":
    sys.exit(main())
