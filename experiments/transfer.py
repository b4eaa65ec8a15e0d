"""Question: are features that were learned on one task of use for another?

Command:  python -m experiments.transfer    (--task fashion, from-fashion or cifar10, by TFDS)
Result:   digits, 10 images of each new class: test accuracy 82.4 % on learned features, 71.8 % on
          random ones; cifar10, --epochs 5, 48.7 % and 39.8 % (n = 1, seed 0); fashion 69.8 % ± 1.0
          and 64.2 % ± 1.6, from-fashion 76.3 % ± 1.5 and 69.5 % ± 4.6 (n = 3, seeds 0 to 2)
Time:     17 s; fashion, from-fashion and cifar10 about a minute each
Hardware: 2 cores of an AMD EPYC (AVX-512), float32, jax 0.10.2

Huang, "Generic features for computer vision". A network learns one set of classes; then its trunk
stays as it is, and a new head, one dense layer, learns another set from few images. The same head
learns the same images on the features of a trunk that was never trained. The tasks:

    digits   MNIST's 0 to 4 → its 5 to 9, from mnist5k, which needs no download
    fashion  MNIST → Fashion-MNIST; from-fashion is the way back
    cifar10  CIFAR-10's animals → its vehicles
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxcnn
from experiments import data, runs
from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.plots.small import save_small
from experiments.systems import record
from experiments.systems.fit import Settings, Task, Trained, fit, predict
from experiments.systems.trunk import trunk
from jaxcnn.layers import Dense, Flatten, Layer, MaxPool, Serial, serial

ANIMALS = (2, 3, 4, 5, 6, 7)  # bird, cat, deer, dog, frog, horse
VEHICLES = (0, 1, 8, 9)  # aeroplane, car, ship, lorry


class Side(NamedTuple):
    """A data set, and those of its classes that are used; None: all."""

    dataset: str
    classes: tuple[int, ...] | None = None


# (what the trunk learns, what the new head learns)
TASKS = {
    "digits": (Side("mnist5k", (0, 1, 2, 3, 4)), Side("mnist5k", (5, 6, 7, 8, 9))),
    "fashion": (Side("mnist"), Side("fashion_mnist")),
    "from-fashion": (Side("fashion_mnist"), Side("mnist")),
    "cifar10": (Side("cifar10", ANIMALS), Side("cifar10", VEHICLES)),
}
# The head is cheap, and its features are computed once: it may take its time.
HEAD = Settings(epochs=100, batch_size=32, learning_rate=3e-3)


@dataclass(frozen=True)
class Options(record.SystemOptions):
    """Train a trunk on one task, freeze it, and train a head on another."""

    task: Literal["digits", "fashion", "from-fashion", "cifar10"] = "digits"
    """Which classes are learned first, and which then."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data."""
    manual_dir: Path | None = None
    """Folder of original files, from which TFDS prepares the data without a network."""
    head_images: int = 10
    """Images of each new class that the head learns from."""
    trunk_images: int = 20_000
    """Images that the trunk learns from, at most."""
    epochs: int = 10
    """Passes of the trunk over its images."""


def network() -> Serial:
    """The trunk that is carried over; its features are the flattened maps."""
    return serial(trunk=trunk(16, 32, 64), pool=MaxPool(2), flatten=Flatten())


def load(side: Side, options: Options) -> data.Dataset:
    """The chosen classes of a data set, numbered from 0."""
    everything = data.load(side.dataset, options.data_dir, options.manual_dir)
    classes = side.classes or tuple(range(data.DATASETS[side.dataset].classes))
    number = np.full(data.DATASETS[side.dataset].classes, -1, np.int32)
    number[list(classes)] = np.arange(len(classes))

    def chosen(split: data.Split) -> data.Split:
        (rows,) = np.nonzero(number[split.labels] >= 0)
        return data.Split(split.images[rows], number[split.labels[rows]])

    return data.Dataset(chosen(everything.train), chosen(everything.test))


def normalised(images: Any, side: Side) -> Array:
    """(pixel / 255 − mean) / std of the data set."""
    about = data.DATASETS[side.dataset]
    mean, std = (jnp.asarray(v, jnp.float32)[None, None, None] for v in (about.mean, about.std))
    return (jnp.asarray(images).astype(jnp.float32) / 255 - mean) / std


def few(split: data.Split, each: int) -> data.Split:
    """So many images of each class, the first of a fixed order."""
    count = each * len(np.unique(split.labels))
    if count > len(split.labels):
        raise UserError(f"--head-images must be at most what the classes have, got {each}.")
    return data.take(split, data.balanced_order(split.labels)[:count])


def train_trunk(split: data.Split, side: Side, options: Options, folder: Path) -> Trained:
    """Trunk and a head of its own on the first task; the head is dropped."""
    net = serial(features=network(), output=Dense(len(np.unique(split.labels))))
    trained = fit(
        Task(
            net,
            lambda key, batch: (normalised(batch["images"], side), batch["labels"]),
            jaxcnn.softmax_cross_entropy,
        ),
        {"images": split.images, "labels": split.labels},
        options.settings,
        key=jax.random.key(options.seed),
        input_shape=split.images.shape[1:],
        report=record.reporter(folder, options),
    )
    return Trained(trained.params["features"], trained.net_state.get("features", {}))


def accuracy_of_head(
    trunk_of: Trained, train: data.Split, test: data.Split, side: Side, seed: int
) -> float:
    """Of a dense layer that learns from the frozen trunk's features."""
    net = network()
    features = [predict(net, trunk_of, normalised(s.images, side)) for s in (train, test)]
    # Features of any scale are welcome: each is brought to mean 0 and standard deviation 1.
    mean, std = features[0].mean(0), features[0].std(0) + 1e-3
    train_features, test_features = ((f - mean) / std for f in features)
    head: Layer = serial(output=Dense(len(np.unique(train.labels))))
    trained = fit(
        Task(head, lambda key, batch: (batch["x"], batch["labels"]), jaxcnn.softmax_cross_entropy),
        {"x": train_features, "labels": train.labels},
        replace(HEAD, batch_size=min(HEAD.batch_size, len(train.labels))),
        key=jax.random.key(seed),
        input_shape=train_features.shape[1:],
    )
    return float(np.mean(predict(head, trained, test_features).argmax(1) == test.labels))


def work(options: Options) -> Path:
    """Train the trunk, then the head on it and on a random trunk."""
    first, second = TASKS[options.task]
    if options.head_images < 1 or options.trunk_images < 1:
        raise UserError(
            "--head-images and --trunk-images must be at least 1, "
            f"got {options.head_images} and {options.trunk_images}."
        )
    source = load(first, options).train
    count = min(options.trunk_images, len(source.labels))
    source = data.take(source, data.balanced_order(source.labels)[:count])
    target = load(second, options)
    learned = few(target.train, options.head_images)
    record.check_batch(options, len(source.labels))
    folder = record.open_folder("transfer", options)
    print(
        f"{first.dataset} → {second.dataset}: {len(source.labels):,} images for the trunk, "
        f"{len(learned.labels):,} for the head, {len(target.test.labels):,} for testing"
    )

    trained = train_trunk(source, first, options, folder)
    key = jax.random.key(options.seed + 1)
    untrained = Trained(*network().init(key, source.images.shape[1:]))
    accuracies = {
        name: accuracy_of_head(of, learned, target.test, second, options.seed)
        for name, of in (("trained", trained), ("random", untrained))
    }
    runs.write_json(
        folder / "summary.json",
        {f"{name}_features_accuracy": value for name, value in accuracies.items()},
    )
    runs.save_parameters(folder, trained.params, trained.net_state)
    draw(accuracies, options, folder / "transfer.png")
    print(
        f"test accuracy on learned features {accuracies['trained']:.4f}, "
        f"on random features {accuracies['random']:.4f}"
    )
    return folder / "transfer.png"


def draw(accuracies: dict[str, float], options: Options, path: Path) -> None:
    """Two bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2), layout="constrained", dpi=110)
    axis = figure.subplots()
    names = ["random trunk", "learned trunk"]
    values = [100 * accuracies["random"], 100 * accuracies["trained"]]
    bars = axis.barh(names, values, color=["#999999", "#0072B2"])
    axis.bar_label(bars, [f"{value:.1f} %" for value in values], padding=3)
    axis.set(xlim=(0, 112), xlabel="test accuracy of the new head / %")
    axis.set_title(f"{options.task}, {options.head_images} images of each new class", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    save_small(figure, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return record.run("transfer", Options, work, arguments)


if __name__ == "__main__":
    program.run(main)
