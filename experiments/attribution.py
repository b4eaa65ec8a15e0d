"""Question: which methods of attribution notice that a network's weights are random?

Command:  python -m experiments.attribution RUN        (RUN: a folder of experiments.train)
          python -m experiments.attribution RUN --images 200 --output map.png
Result:   RUN/attribution.png: what each method says of one image, for the trained network and for
          one with random weights; and for each method the rank correlation of the two, mean ±
          deviation over images (sizes of numbers, as |A|), which is printed too
Time:     about a minute for LeNet-5 and 50 images
Hardware: 2 cores of an AMD EPYC (AVX2), float32, jax 0.10.2

Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim 2018, "Sanity Checks for Saliency Maps": a method
that shows the same without what was learnt shows the image, not the network. A correlation near 1
is such a method's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import Array

from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.looking.opened import Opened, open_run
from experiments.looking.units import maps_of
from experiments.plots.sheet import Sheet
from jaxcnn import attribution as by

SIGNED = "PuOr_r"


@dataclass(frozen=True)
class Options:
    """Compare what methods of attribution say before and after weights are made random."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run of experiments.train."""
    images: int = 50
    """How many test images the correlations are means over."""
    output: Path | None = None
    """The picture to write; otherwise RUN/attribution.png."""


def methods(layer: str) -> dict[str, Callable[..., Array]]:
    """All of them, by the name that stands in the picture."""
    return {
        "saliency": partial(by.saliency, absolute=False),
        "SmoothGrad": partial(by.smooth_grad, key=jax.random.key(0), samples=20),
        "integrated": partial(by.integrated_gradients, steps=20),
        "grad × input": by.gradient_times_input,
        "Grad-CAM": partial(_cam, by.grad_cam, layer),
        "Grad-CAM++": partial(_cam, by.grad_cam_plus_plus, layer),
        "guided": by.guided_backprop,
        "deconvolution": by.deconvolution,
        "LRP-ε": by.lrp,
        "LRP-αβ": partial(by.lrp, rule="alpha-beta"),
        "LRP-z⁺": partial(by.lrp, rule="z+"),
        "DeepLIFT": by.deep_lift,
        "occlusion": partial(by.occlusion, window=6, stride=3),
    }


def _cam(method: Any, layer: str, net: Any, params: Any, state: Any, x: Array, target: Any):
    """A map of the layer's size, enlarged to that of the image."""
    found = method(net, params, state, x, layer, target)
    return jax.image.resize(found[..., None], (*x.shape[:-1], 1), "nearest")


@program.telling
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 for a mistake in it."""
    options = tyro.cli(
        Options, args=arguments, prog="python -m experiments.attribution",
        description=Options.__doc__,
    )  # fmt: skip
    print(check(options))
    return 0


def check(options: Options) -> Path:
    """Print a line for each method and draw the picture; its path."""
    if options.images < 2:
        raise UserError(f"--images must be at least 2, got {options.images}.")
    opened = open_run(options.run)
    split = opened.test_images()
    x = opened.normalise(split.images[: options.images])
    labels = jnp.asarray(split.labels[: options.images], jnp.int32)
    random, _ = opened.net.init(jax.random.key(1), opened.shape)
    layers = maps_of(opened, x)
    if not layers:
        raise UserError(f"RUN must be one of a network with convolutions, got {options.run}.")
    sheet = Sheet(2 * len(methods("")) + 2, 8, 0.98, heading="", caption_lines=2)
    sheet.show(np.asarray(split.images[0]).squeeze(), "the image", cmap="gray")
    sheet.show(np.full((1, 1), np.nan), "")  # that the two maps of a method stand side by side
    for name, method in methods(layers[-1]).items():
        trained, drawn = (_maps(opened, method, params, x, labels)
                          for params in (opened.params, random))  # fmt: skip
        found = correlations(trained, drawn)
        print(f"{name:14s} {found.mean():5.2f} ± {found.std():.2f}")
        for maps, said in ((trained, "trained"), (drawn, f"random: {found.mean():.2f}")):
            limit = float(np.abs(maps[0]).max()) or 1.0
            sheet.show(maps[0], f"{name}\n{said}", cmap=SIGNED, vmin=-limit, vmax=limit)
    path = options.output or options.run / "attribution.png"
    try:
        sheet.save(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _maps(opened: Opened, method: Any, params: Any, x: Array, labels: Array) -> np.ndarray:
    """Summed over colours, n h w."""
    run = jax.jit(lambda x, labels: method(opened.net, params, opened.state, x, labels))
    return np.asarray(run(x, labels)).sum(-1)


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of |A| for every image; 0 where a map is all the same."""
    ranks = [_ranks(np.abs(maps).reshape(len(maps), -1)) for maps in (one, other)]
    a, b = (r - r.mean(1, keepdims=True) for r in ranks)
    size = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return (a * b).sum(1) / np.where(size == 0, 1, size)


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Of every number in its row; equal ones share the mean of theirs."""
    found = np.empty(rows.shape)
    for row, ranks in zip(rows, found, strict=True):
        _, place, count = np.unique(row, return_inverse=True, return_counts=True)
        last = np.cumsum(count)
        ranks[:] = (last - (count - 1) / 2)[place]
    return found


if __name__ == "__main__":
    program.run(main)
