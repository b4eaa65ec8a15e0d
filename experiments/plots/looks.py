"""What a trained network looks like: confusion.png, mistakes.png, filters.png."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import data
from experiments.command_line.options import TrainOptions
from experiments.plots.sheet import Sheet
from experiments.training.evaluation import Scores
from jaxcnn.layers import Branches, Layer, Serial

# A confusion matrix of more classes cannot be read, and so many mistakes fit a page.
MOST_CLASSES, MISTAKES = 20, 40


def save_looks(
    folder: Path,
    options: TrainOptions,
    found: Scores,
    pictures: Any,
    net: Layer,
    params: dict[str, Any],
) -> None:
    """All three, as far as there is anything to show."""
    about = data.describe(options)
    names = about.class_names
    title = f"{options.model} on {options.dataset}, {len(found.logits):,} test images"
    if about.classes <= MOST_CLASSES:
        save_confusion(folder / "confusion.png", found.confusion, names, title)
    if isinstance(pictures, data.Split):
        save_mistakes(
            folder / "mistakes.png", pictures.images, pictures.labels, found.logits, names, title
        )
    kernel = first_kernel(net, params)
    if kernel is not None:
        save_filters(folder / "filters.png", kernel, f"First filters of {options.model}")


def save_confusion(path: Path, counts: np.ndarray, names: Sequence[str], title: str) -> None:
    """True classes down, predicted ones across; colours are for the mistakes only."""
    from matplotlib.figure import Figure

    size = len(counts)
    figure = Figure(figsize=(1.6 + 0.62 * size, 1.9 + 0.55 * size), layout="constrained", dpi=150)
    axes = figure.subplots()
    mistakes = np.where(np.eye(size, dtype=bool), 0, counts)
    axes.imshow(mistakes, cmap="OrRd", vmin=0, vmax=max(1, mistakes.max() * 1.3))
    right = np.trace(counts)
    axes.set_title(f"{title}\n{right:,} right, {counts.sum() - right:,} wrong", fontsize=11)
    for row in range(size):
        for column in range(size):
            count = counts[row, column]
            if count:
                bold = "bold" if row == column else "normal"
                axes.text(column, row, count, ha="center", va="center", fontsize=8, weight=bold)
    long = max(map(len, names)) > 2
    turned = {"rotation": 45, "ha": "right"} if long else {}
    axes.set_xticks(range(size), names, **turned)
    axes.set_yticks(range(size), names)
    axes.set(xlabel="taken for", ylabel="true class")
    axes.set_xticks(np.arange(size - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(size - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    figure.savefig(path)


def save_mistakes(
    path: Path,
    images: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    names: Sequence[str],
    title: str,
) -> None:
    """The wrong answers that the network was surest of, the worst first; images are uint8."""
    chance, predicted = probabilities(logits), logits.argmax(-1)
    (wrong,) = np.nonzero(predicted != labels)
    worst = wrong[np.argsort(-chance[wrong, predicted[wrong]], kind="stable")][:MISTAKES]
    shown = f"the {len(worst)} worst of {len(wrong):,} mistakes" if len(worst) else "no mistakes"
    heading = f"{title}: {shown}\nwhat the network says, how surely, and what it is"
    sheet = Sheet(len(worst), 8, 1.25, heading, caption_lines=2)
    for number in worst:
        image = images[number].squeeze(-1) if images.shape[-1] == 1 else images[number]
        answer, true = names[int(predicted[number])], names[int(labels[number])]
        part = 100 * chance[number, predicted[number]]
        caption = f"says {answer} ({part:.0f} %)\nis {true}"
        sheet.show(image, caption, cmap="gray_r", vmin=0, vmax=255)
    sheet.save(path)


def save_filters(path: Path, kernel: np.ndarray, title: str) -> None:
    """A kernel kh kw c d, filter by filter; those of three channels in colour, others in maps.

    Each filter has a scale of its own, zero in the middle: grey, or white between two hues.
    """
    filters = np.moveaxis(np.asarray(kernel, np.float64), -1, 0)
    colour = filters.shape[-1] == 3
    if not colour:  # one picture for each pair of channels, in and out
        filters = np.moveaxis(filters, -1, 1).reshape(-1, *filters.shape[1:3])[:256]
    columns = min(len(filters), 16 if len(filters) > 32 else 8)
    heading = f"{title}: {kernel.shape[-1]} of {kernel.shape[0]} × {kernel.shape[1]}"
    sheet = Sheet(len(filters), columns, 0.7, heading)
    for one in filters:
        limit = np.abs(one).max() or 1.0
        if colour:
            sheet.show((one / limit + 1) / 2)
        else:
            sheet.show(one, cmap="PuOr_r", vmin=-limit, vmax=limit)
    sheet.save(path)


def first_kernel(net: Layer, params: dict[str, Any]) -> np.ndarray | None:
    """The kernel, kh kw c d, of the first layer that has one with a window to look at."""
    if isinstance(net, (Serial, Branches)):
        found = (first_kernel(layer, params.get(name, {})) for name, layer in net.children)
        return next((kernel for kernel in found if kernel is not None), None)
    kernels = (leaf for leaf in params.values() if np.ndim(leaf) == 4 and leaf.shape[0] > 1)
    return next((np.asarray(kernel) for kernel in kernels), None)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of the logits, in float64."""
    shifted = np.asarray(logits, np.float64)
    shifted = np.exp(shifted - shifted.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
