"""Question: does a convolution along the frequencies hear a timbre at any pitch?

Command:  python -m experiments.audio
Result:   test accuracy 91.9 %, logistic regression 26.9 % (n = 1, seed 0)
Time:     32 s
Hardware: 2 cores of an AMD EPYC (AVX-512), float32, jax 0.10.2

Quan, "Model variations" (convnets on spectrograms), in one dimension. Tones of eight timbres, made
of partials, at any pitch within two octaves and in loud noise, become logarithmic power spectra of
256 bins; a 1-D network says which timbre it is. Beside it stands a logistic regression, trained on
the same tones: it has to learn every pitch by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jax import Array

import jaxcnn
from experiments import runs
from experiments.command_line import program
from experiments.plots.small import save_small
from experiments.systems import record
from experiments.systems.fit import Task, Trained, fit, predict
from experiments.systems.waves import BINS, TIMBRES, Tones, draw_tones
from jaxcnn.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    serial,
)
from jaxcnn.models import logistic_regression
from jaxcnn.ops.activation import relu

TEST_KEY = 1998
TEST_TONES = 1000


@dataclass(frozen=True)
class Options(record.SystemOptions):
    """Train a 1-D network on the spectra of generated tones."""

    tones: int = 6400
    """Tones in an epoch, all of them new."""
    epochs: int = 15
    """How often so many tones are drawn."""
    learning_rate: float = 4e-3
    """The highest one of the one-cycle schedule; the optimiser is Adam."""


def network() -> Layer:
    """Three convolutions along the frequencies, each followed by a maximum over four bins."""
    blocks: list[Layer] = []
    for features, window in ((16, 9), (32, 5), (64, 5)):
        blocks += [
            Conv(features, window, padding="SAME", use_bias=False),
            BatchNorm(),
            Activation(relu),
            MaxPool(4),
        ]
    return serial(*blocks, Flatten(), output=Dense(len(TIMBRES)))


def prepare(key: Array, batch: Array) -> tuple[Array, Array]:
    """As many new tones as the batch is long."""
    tones = draw_tones(key, batch.shape[0])
    return tones.spectra, tones.labels


def train(net: Layer, options: Options, report: object = None) -> Trained:
    """Either network, on the same tones in the same order."""
    return fit(
        Task(net, prepare, jaxcnn.softmax_cross_entropy),
        np.zeros(options.tones, np.int32),
        options.settings,
        key=jax.random.key(options.seed),
        input_shape=(BINS, 1),
        report=report,  # type: ignore[arg-type]
    )


def draw(tones: Tones, path: Path) -> None:
    """A spectrum of each timbre."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained", dpi=90)
    labels = np.asarray(tones.labels)
    axes = figure.subplots(2, 4, sharex=True, sharey=True).flat
    for axis, (label, name) in zip(axes, enumerate(TIMBRES), strict=True):
        example = int(np.argmax(labels == label))
        axis.plot(np.asarray(tones.spectra[example, :, 0]), color="#0072B2", lw=0.9)
        axis.set_title(name, fontsize=10)
        axis.set(xlabel="frequency / bins", ylabel="log power, standardised")
        axis.label_outer()
    save_small(figure, path)


def work(options: Options) -> Path:
    """Train both, compare, draw the spectra."""
    record.check_batch(options, options.tones)
    folder = record.open_folder("audio", options)
    tones = jax.jit(draw_tones, static_argnums=1)(jax.random.key(TEST_KEY), TEST_TONES)
    accuracies = {}
    for name, net in (
        ("cnn", network()),
        ("logistic_regression", logistic_regression(len(TIMBRES))),
    ):
        trained = train(net, options, record.reporter(folder, options) if name == "cnn" else None)
        right = predict(net, trained, tones.spectra).argmax(1) == np.asarray(tones.labels)
        accuracies[f"{name}_accuracy"] = float(right.mean())
        if name == "cnn":
            runs.save_parameters(folder, trained.params, trained.net_state)
    runs.write_json(folder / "summary.json", {**accuracies, "tones": TEST_TONES})
    draw(tones, folder / "audio.png")
    print(
        f"test accuracy {accuracies['cnn_accuracy']:.4f}, "
        f"logistic regression {accuracies['logistic_regression_accuracy']:.4f}"
    )
    return folder / "audio.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return record.run("audio", Options, work, arguments)


if __name__ == "__main__":
    program.run(main)
