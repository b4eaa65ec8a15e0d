"""Question: which methods of attribution notice that a network's weights are random?

Command:  for seed in 0 1 2; do python -m experiments.train --seed $seed --run-dir runs/$seed; done
          python -m experiments.attribution runs/0 runs/1 runs/2
Result:   runs/0/attribution.png: what each method says of one image, for the trained network and
          with more and more of its layers random, from the last one to the first; under each the
          rank correlation with the trained network's map (of |A|; mean over test images, mean ±
          deviation over the runs); attribution.json beside it holds the numbers
Time:     about a minute of processor time for three LeNet-5 and 50 images
Hardware: 2 cores of an AMD EPYC (AVX-512), float32, jax 0.10.2

Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim 2018, "Sanity Checks for Saliency Maps", their
cascading randomisation: a method that shows the same without what was learnt shows the image, not
the network. A correlation near 1 is such a method's.
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

from experiments import runs
from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.looking.opened import Opened, open_run
from experiments.looking.units import maps_of
from experiments.plots.sheet import Sheet
from jaxcnn import attribution as by

SIGNED = "PuOr_r"
STAGES = 5  # how often layers become random, at most


@dataclass(frozen=True)
class Options:
    """Compare what methods of attribution say before and after weights are made random."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of finished runs of experiments.train, of one network."""
    images: int = 50
    """How many test images the correlations are means over."""
    output: Path | None = None
    """The picture to write; otherwise attribution.png in the first
    folder. The numbers are written beside it."""


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
    """Print a line for each method, draw the picture and write the numbers; the picture's path."""
    if options.images < 2:
        raise UserError(f"--images must be at least 2, got {options.images}.")
    nets = opened_runs(options.runs)
    first = nets[0]
    split = first.test_images()
    labels = jnp.asarray(split.labels[: options.images], jnp.int32)
    x = first.normalise(split.images[: options.images])
    layers = maps_of(first, x)
    if not layers:
        raise UserError(f"RUN must be one of a network with convolutions, got {first.folder}.")
    weights = [cascade(opened, seed) for seed, opened in enumerate(nets)]
    stages = [name for name, *_ in weights[0]]
    sheet = Sheet(
        (1 + len(methods(""))) * (1 + STAGES), 2 * (1 + STAGES), 0.8, heading="", caption_lines=2
    )
    sheet.show(np.asarray(split.images[0]).squeeze(), "the image", cmap="gray")
    sheet.skip(STAGES)
    found: dict[str, list[list[float]]] = {}
    for name, method in methods(layers[-1]).items():

        @jax.jit
        def run(params: Any, state: Any, x: Array, labels: Array, method: Any = method) -> Array:
            return method(first.net, params, state, x, labels).sum(-1)  # over colours

        maps = [[np.asarray(run(*each, x, labels)) for _, *each in one] for one in weights]
        each = [[float(correlations(one[0], a).mean()) for a in one] for one in maps]
        deviation = np.std(each, 0, ddof=1) if len(nets) > 1 else np.zeros(len(stages))
        found[name] = np.round(np.transpose([np.mean(each, 0), deviation]), 3).tolist()
        said = [f"{mean:z.2f} ± {spread:.2f}" for mean, spread in found[name]]
        print(f"{name:14s}", *said[1:], sep="  ", flush=True)
        heads = [f"{name}\ntrained", *map("\n".join, zip(stages[1:], said[1:], strict=True))]
        for picture, head in zip(maps[0], heads, strict=True):
            limit = float(np.abs(picture[0]).max()) or 1.0
            sheet.show(picture[0], head, cmap=SIGNED, vmin=-limit, vmax=limit)
        sheet.skip(1 + STAGES - len(stages))
    path = options.output or first.folder / "attribution.png"
    numbers = {"model": first.options.model, "runs": len(nets), "images": len(x),
               "random": stages[1:], "methods": {k: v[1:] for k, v in found.items()}}  # fmt: skip
    try:
        sheet.save(path)
        runs.write_json(path.with_suffix(".json"), numbers)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def opened_runs(folders: Sequence[Path]) -> list[Opened]:
    """All of one network, at least one."""
    if not folders:
        raise UserError("RUN must be the folder of a finished run of experiments.train, got none.")
    first, *others = [open_run(folder) for folder in folders]
    for other in others:
        if (other.net, other.shape) != (first.net, first.shape):
            raise UserError(f"The runs must be of one network, {other.folder} is of another.")
    return [first, *others]


def cascade(opened: Opened, seed: int) -> list[tuple[str, Any, Any]]:
    """Parameters and state as learnt, then with the last layers random, more of them each time."""
    random = opened.net.init(jax.random.key(1000 + seed), opened.shape)
    learnt = (opened.params, opened.state)
    names = [name for name, _ in opened.net.children if jax.tree.leaves(learnt[0].get(name))][::-1]
    stages = [("trained", *learnt)]
    for count in np.unique(np.linspace(1, len(names), STAGES).round().astype(int)).tolist():
        params, state = (
            {**old, **{name: new[name] for name in names[:count] if name in new}}
            for old, new in zip(learnt, random, strict=True)
        )
        stages.append((("+ " if count > 1 else "") + names[count - 1], params, state))
    return stages


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
