"""Question: what did a network learn, and what does it see in an image?

Command:  python -m experiments.inspect RUN           (RUN: a folder of experiments.train)
          python -m experiments.inspect RUN --index 7
          python -m experiments.inspect RUN IMAGE     (a picture of your own; --invert: ink on
          paper)
          python -m experiments.inspect RUN --page    (steps through the network, in a browser)
Result:   RUN/inspect/report.html, which needs no network, and its pictures as PNG files; with
          --page RUN/inspect/page.html, one file that runs the network by itself
Time:     17 s, 20 s of processor time, for LeNet-5
Hardware: 2 cores of an AMD EPYC (AVX2), float32, jax 0.10.2

Filters of the first layer; for an image and a class every layer's output and δ, as
`jaxcnn.backprop` gives it; saliency; the deconvnet's pictures; images that excite a unit; receptive
fields; the confusion matrix and the worst mistakes. Each stands beside its formula. The page takes
networks of up to 250,000 parameters whose layers `jaxcnn.page` knows; the epochs that a run kept
(`train --keep-every N`) are on a slider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

from experiments import data
from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.data.picture import Background
from experiments.looking.opened import Opened, open_run
from experiments.looking.page import page
from experiments.looking.report import Chosen, Judged, report
from experiments.looking.stepping import stepping
from experiments.training import material


@dataclass(frozen=True)
class Options:
    """Write a report of what a trained network does."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run of experiments.train."""
    image: Annotated[Path | None, tyro.conf.Positional] = None
    """A picture; otherwise a test image."""
    index: int | None = None
    """Which test image; otherwise the least certain one of class --label, or of all."""
    invert: bool = False
    """Turn light and dark of the picture around: for ink on paper."""
    background: Background | None = None
    """What stands behind transparent pixels; otherwise white, or black behind light ink."""
    label: int | None = None
    """The class that δ comes from; otherwise the image's own, of a picture the likeliest."""
    page: bool = False
    """Write a page that steps forward and back through the network, in the place of the report."""
    output: Path | None = None
    """Folder to write; otherwise RUN/inspect."""


@program.telling
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 for a mistake in it."""
    options = tyro.cli(
        Options, args=arguments, prog="python -m experiments.inspect", description=Options.__doc__
    )
    print(inspect(options))
    return 0


def inspect(options: Options) -> Path:
    """Write the report; its path."""
    opened = open_run(options.run)
    classes = opened.about.classes
    if options.label is not None and not 0 <= options.label < classes:
        raise UserError(f"--label must be from 0 to {classes - 1}, got {options.label}.")
    if options.index is not None and options.image is not None:
        raise UserError(f"--index chooses a test image, got it beside the picture {options.image}.")
    for name in ("invert", "background"):
        if getattr(options, name) and options.image is None:
            raise UserError(f"--{name} is for a picture of your own, got no IMAGE.")
    split = opened.test_images()
    last = len(split.labels) - 1
    if options.index is not None and not 0 <= options.index <= last:
        raise UserError(f"--index must be from 0 to {last}, got {options.index}.")
    judged = judge(opened, split)
    chosen = choose(options, opened, judged)
    folder = options.output or options.run / "inspect"
    accuracy = float(np.mean(judged.probabilities.argmax(1) == judged.split.labels))
    about = (
        f"{opened.options.model} on {opened.options.dataset}, run {opened.folder.name}; "
        f"test accuracy {100 * accuracy:.2f} %."
    )
    pictures = {}
    if options.page:
        name, text = "page.html", stepping(opened, judged.split, chosen, about)
    else:
        sections = report(opened, judged, chosen)
        pictures = {f"{name}.png": image for s in sections for name, _, image in s.pictures}
        signed = f"{about} Signed values are orange where positive and violet where negative."
        name, text = "report.html", page("What the network learned", signed, sections)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for picture, image in pictures.items():
            (folder / picture).write_bytes(image)
        path = folder / name
        # Names of files may hold bytes that are no text.
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}.") from error
    return path


def judge(opened: Opened, split: data.Split) -> Judged:
    """Every test image's probabilities."""

    @jax.jit
    def run(images):
        logits = opened.net.apply(opened.params, opened.state, opened.normalise(images))[0]
        return jax.nn.softmax(logits)

    batches = np.array_split(split.images, max(1, len(split.images) // 500))
    return Judged(split, np.concatenate([np.asarray(run(batch)) for batch in batches]))


def choose(options: Options, opened: Opened, judged: Judged) -> Chosen:
    """The image to look at, and the class that δ comes from."""
    if options.image is not None:
        pixels = material.read_picture(
            options.image, opened.options, invert=options.invert, background=options.background
        )
        logits = opened.net.apply(opened.params, opened.state, opened.normalise(pixels[None]))[0]
        likeliest = int(np.argmax(np.asarray(logits)))
        return Chosen(
            pixels, likeliest if options.label is None else options.label, str(options.image)
        )
    labels = judged.split.labels
    index = unsure(judged, options.label) if options.index is None else options.index
    label = int(labels[index]) if options.label is None else options.label
    return Chosen(judged.split.images[index], label, f"test image {index}")


def unsure(judged: Judged, label: int | None) -> int:
    """The test image, of this class if there is one, whose class gets nearest to one half.

    δ = y − [k = t] of an image that is read without doubt is next to nothing: it shows little but
    rounding.
    """
    probability = judged.probabilities[np.arange(len(judged.split.labels)), judged.split.labels]
    doubt = np.abs(probability - 0.5)
    among = np.ones(len(doubt), bool) if label is None else judged.split.labels == label
    return int(np.argmin(np.where(among, doubt, np.inf)))


if __name__ == "__main__":
    program.run(main)
