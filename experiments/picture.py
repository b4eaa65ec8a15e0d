"""Question: what does back-propagation look like, from the pixels to the loss and back?

Command:  python -m experiments.picture            (trains LeNet-5 for a few epochs first)
          python -m experiments.picture --run RUN  (with the parameters of a finished run)
Result:   one PNG: a digit runs forward through LeNet-5 on the left; on the right the gradient δ of
          every layer runs back, as the rules return it. Orange is positive, violet negative.
Time:     15 s on 2 CPU cores.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxcnn
from experiments import data
from experiments.command_line import program
from experiments.command_line.options import TrainOptions, UserError
from experiments.runs import saved
from jaxcnn.layers import Serial

# What to show of LeNet-5: the layer, and what its maps are called.
SHOWN = {
    "input": "input image",
    "c1": "C1: 6 maps, 5×5 convolution",
    "s2": "S2: 2×2 maximum",
    "c3": "C3: 16 maps, 5×5 convolution",
    "s4": "S4: 2×2 maximum",
    "output": "logits",
}


@dataclass(frozen=True)
class Options:
    """Draw a digit's way forward and its gradient's way back."""

    run: Path | None = None
    """Folder of a finished run of lenet5; otherwise one is trained."""
    digit: int = 3
    """Which digit; the first image of the test set with this label that is read right."""
    epochs: int = 5
    """How long to train where no run is given."""
    output: Path = Path("backpropagation.png")
    """The file to write."""


@partial(jax.jit, static_argnums=0)
def forward_and_backward(
    net: Serial, params: Any, x: Array, label: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The output y of every layer, and ∂E/∂y, layer by layer as the rules give it."""
    outputs, pulls = {"input": x}, []
    for name, layer in net.children:
        x, pull = jax.vjp(
            lambda x, layer=layer, name=name: layer.apply(params.get(name, {}), {}, x)[0], x
        )
        outputs[name] = x
        pulls.append((name, pull))
    delta = jax.grad(lambda logits: jaxcnn.softmax_cross_entropy(logits, label))(x)
    deltas = {}
    for name, pull in reversed(pulls):
        deltas[name] = delta
        (delta,) = pull(delta)
    deltas["input"] = delta
    return outputs, deltas


def draw(outputs: dict[str, Array], deltas: dict[str, Array], label: int, path: Path) -> None:
    """Forward on the left, backward on the right, one row per layer."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    figure: Figure = plt.figure(figsize=(11, 8.6), layout="constrained")
    halves: Any = figure.subfigures(1, 2, wspace=0.04)
    left, right = halves
    for half, values, title, sequence in (
        (left, outputs, "forward: activations  ↓", list(SHOWN)),
        (right, deltas, "backward: δ = ∂E/∂y  ↑", list(SHOWN)),
    ):
        half.suptitle(title, fontsize=13, fontweight="bold")
        rows: Any = half.subfigures(
            len(sequence), 1, height_ratios=[1.5, 1.2, 0.95, 1.5, 1.1, 1.25]
        )
        for row, name in zip(rows, sequence, strict=True):
            value = np.asarray(values[name])[0]
            row.suptitle(SHOWN[name], fontsize=9, x=0.02, ha="left")
            if value.ndim == 1:
                _bars(row, value, label)
            else:
                _maps(row, value, signed=half is right)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _maps(row: Any, maps: np.ndarray, *, signed: bool) -> None:
    """All channels side by side, in at most two lines; one scale for all of them."""
    count = maps.shape[-1]
    lines = 2 if count > 8 else 1
    columns = -(-count // lines)
    axis = row.subplots()
    axis.set_axis_off()
    limit = np.abs(maps).max() or 1.0
    low = -limit if signed or maps.min() < 0 else 0
    colours = "PuOr_r" if low < 0 else "Greys"
    for channel in range(count):
        y, x = divmod(channel, columns)
        place = 1.1 * x, 1.1 * x + 1, 1.1 * y + 1, 1.1 * y
        axis.imshow(maps[..., channel], cmap=colours, vmin=low, vmax=limit, extent=place)
    axis.set(xlim=(0, 1.1 * columns - 0.1), ylim=(1.1 * lines - 0.1, 0))


def _bars(row: Any, values: np.ndarray, label: int) -> None:
    axis = row.subplots()
    colours = ["#e66101" if digit == label else "#9a9a9a" for digit in range(len(values))]
    axis.bar(range(len(values)), values, color=colours)
    axis.axhline(0, color="black", linewidth=0.6)
    axis.set_xticks(range(len(values)))
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the picture; the exit code is 2 for a mistake in the options."""
    import tyro

    options = tyro.cli(Options, args=arguments, description=__doc__)
    if not 0 <= options.digit <= 9:
        print(f"--digit must be one of 0 to 9, got {options.digit}", file=sys.stderr)
        return 2
    try:
        with TemporaryDirectory() as temporary:
            folder = options.run or _train(Path(temporary) / "run", options.epochs)
            trained, params, _ = saved.read(folder)
        if trained.model != "lenet5":
            raise UserError(f"{folder} is one of {trained.model}, not of lenet5.")
    except UserError as error:
        print(f"--run must be the folder of a finished run: {error}", file=sys.stderr)
        return 2
    net = jaxcnn.models.lenet5()
    about, test = data.DATASETS["mnist5k"], data.load("mnist5k").test
    pixels = jnp.asarray(data.pad_to_32(test.images[test.labels == options.digit]))
    images = (pixels.astype(jnp.float32) / 255 - about.mean[0]) / about.std[0]
    logits, _ = net.apply(params, {}, images)
    right = int(np.argmax(np.asarray(logits).argmax(-1) == options.digit))
    label = jnp.array([options.digit])
    outputs, deltas = forward_and_backward(net, params, images[right : right + 1], label)
    outputs["input"] = pixels[right : right + 1]
    draw(outputs, deltas, options.digit, options.output)
    print(options.output)
    return 0


def _train(folder: Path, epochs: int) -> Path:
    from experiments.train import train

    return train(replace(TrainOptions(), epochs=epochs, run_dir=folder, progress=False)).folder


if __name__ == "__main__":
    program.run(main)
