"""Question: can the detector's mechanism find the joints of a figure?

Command:  python -m experiments.pose
Result:   mean joint error 1.80 % of the side on 1,000 figures never seen (n = 1, seed 0)
Time:     2:01
Hardware: 2 cores of an AMD EPYC (AVX-512), float32, jax 0.10.2

Quan, "Pose estimation": the head that gave eight corners gives the x and y of eleven joints. Stick
figures in random poses, with a head, arms and legs of two parts, stand on canvases of 48×48 pixels
among noise and stray limbs. Every batch is drawn anew on the device, so none is seen twice; the
figures for testing come from a key of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from jaxtyping import Float

import jaxcnn
from experiments import runs
from experiments.command_line import program
from experiments.plots.small import save_small
from experiments.systems import record
from experiments.systems.figures import JOINTS, LIMBS, SIDE, Figures, draw_figures
from experiments.systems.fit import Task, fit, predict
from experiments.systems.trunk import trunk
from jaxcnn.layers import Activation, Dense, Flatten, Layer, heads, serial
from jaxcnn.ops.activation import relu

UNIT = 4.0  # pixels
SHOWN = 16  # figures in the picture
TEST_KEY = 1998
TEST_FIGURES = 1000


@dataclass(frozen=True)
class Options(record.SystemOptions):
    """Train a network to find the joints of stick figures."""

    figures: int = 4000
    """Figures in an epoch, all of them new."""
    epochs: int = 20
    """How often so many figures are drawn."""
    learning_rate: float = 4e-3
    """The highest one of the one-cycle schedule; the optimiser is Adam."""


def network() -> Layer:
    """The detector's trunk with one head, `joints`: x and y of each."""
    return serial(
        trunk=trunk(24, 48, 96, 96),
        heads=heads(
            joints=serial(Flatten(), Dense(256), Activation(relu), output=Dense(2 * len(JOINTS)))
        ),
    )


def prepare(key: Array, batch: Array) -> tuple[Array, Array]:
    """As many new figures as the batch is long."""
    figures = draw_figures(key, batch.shape[0])
    joints = (figures.joints - SIDE / 2) / UNIT
    return figures.canvas, joints.reshape(batch.shape[0], -1)


def loss(outputs: dict[str, Array], joints: Array) -> Array:
    """Smooth L1 over all coordinates."""
    return jaxcnn.smooth_l1(outputs["joints"], joints)


def distances(
    found: Float[np.ndarray, "n k 2"], true: Float[np.ndarray, "n k 2"]
) -> Float[np.ndarray, "n k"]:
    """How far off each joint is, as a part of the canvas's side."""
    return np.sqrt(((found - true) ** 2).sum(-1)) / SIDE


def draw(figures: Figures, found: Float[np.ndarray, "n k 2"], path: Path) -> None:
    """The first figures with their true skeletons, solid blue, and those found, dashed orange."""
    from matplotlib.figure import Figure

    columns = min(8, SHOWN)
    rows = -(-SHOWN // columns)
    errors = distances(found, np.asarray(figures.joints))
    page = Figure(figsize=(1.45 * columns, 1.6 * rows + 0.5), layout="constrained", dpi=80)
    page.suptitle(
        f"mean joint error {100 * errors.mean():.2f} % of the side; solid: true, dashed: found"
    )
    for i, axis in enumerate(page.subplots(rows, columns, squeeze=False).flat):
        axis.set_axis_off()
        axis.imshow(np.asarray(figures.canvas[i, ..., 0]), cmap="gray", vmin=0, vmax=1.4,
                    extent=(0, SIDE, SIDE, 0))  # fmt: skip
        for joints, colour, style in (
            (np.asarray(figures.joints[i]), "#56B4E9", "-"),
            (found[i], "#E69F00", "--"),
        ):
            for a, b in LIMBS:
                axis.plot(*joints[[a, b]].T, style, color=colour, lw=1.3)
            axis.plot(*joints.T, ".", color=colour, markersize=3)
        axis.set_xlim(0, SIDE)
        axis.set_ylim(SIDE, 0)
        axis.set_title(f"{100 * errors[i].mean():.1f} %", fontsize=8)
    save_small(page, path)


def work(options: Options) -> Path:
    """Train, test, draw."""
    record.check_batch(options, options.figures)
    folder = record.open_folder("pose", options)
    net = network()
    trained = fit(
        Task(net, prepare, loss),
        np.zeros(options.figures, np.int32),  # how many there are is all that is known beforehand
        options.settings,
        key=jax.random.key(options.seed),
        input_shape=(SIDE, SIDE, 1),
        report=record.reporter(folder, options),
    )
    figures = jax.jit(draw_figures, static_argnums=1)(jax.random.key(TEST_KEY), TEST_FIGURES)
    outputs = predict(net, trained, figures.canvas)["joints"]
    found = outputs.reshape(TEST_FIGURES, len(JOINTS), 2) * UNIT + SIDE / 2
    summary = summarise(distances(found, np.asarray(figures.joints)))
    runs.write_json(folder / "summary.json", summary)
    runs.save_parameters(folder, trained.params, trained.net_state)
    draw(figures, found, folder / "pose.png")
    print(f"mean joint error {100 * summary['mean_error']:.2f} % of the side")
    return folder / "pose.png"


def summarise(errors: Float[np.ndarray, "n k"]) -> dict[str, Any]:
    """The mean over all joints, and over each."""
    by_joint = dict(zip(JOINTS, (round(float(e), 5) for e in errors.mean(0)), strict=True))
    return {"mean_error": float(errors.mean()), "figures": len(errors), "by_joint": by_joint}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return record.run("pose", Options, work, arguments)


if __name__ == "__main__":
    program.run(main)
