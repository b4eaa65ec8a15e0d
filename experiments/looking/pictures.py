"""The report's pictures, each as a PNG: signed maps orange (positive) and violet (negative)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

MAPS = 32  # shown of a layer at most
MISTAKES = 24
SIGNED, GREY = "PuOr_r", "gray"
BLUE, ORANGE, MIDDLE = "#0072B2", "#E66101", "#9A9A9A"


def png(figure: Any) -> bytes:
    """The figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _figure(width: float, height: float) -> Any:
    # A Figure of its own, not pyplot: no global state, no window system.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def show(axis: Any, image: Float[np.ndarray, "h w c"], *, signed: bool, limit: float = 0) -> None:
    """One map or picture; signed ones with zero in the middle of the colours."""
    axis.set_axis_off()
    if signed and image.shape[-1] == 1:
        limit = limit or float(np.abs(image).max()) or 1.0
        axis.imshow(image[..., 0], cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
        return
    if signed:  # of a colour picture: zero is middle grey in every channel
        limit = limit or float(np.abs(image).max()) or 1.0
        image = 0.5 + 0.5 * image / limit
    axis.imshow(np.clip(image, 0, 1).squeeze(), cmap=GREY, vmin=0, vmax=1, interpolation="nearest")


def grid(
    images: Float[np.ndarray, "m h w c"],
    *,
    signed: bool,
    titles: Sequence[str] = (),
    columns: int = 8,
    shared: bool = True,
) -> bytes:
    """Images side by side; `shared`: one scale for all of them."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = _figure(1.05 * columns, rows * (1.3 if titles else 1.05))
    limit = float(np.abs(images).max()) if shared else 0.0
    for i, axis in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axis.set_axis_off()
        if i < len(images):
            show(axis, images[i], signed=signed, limit=limit)
            if titles:
                axis.set_title(titles[i], fontsize=8)
    return png(figure)


def forward_and_back(y: np.ndarray, delta: np.ndarray) -> bytes:
    """A layer's output on the left, δ at it on the right, map by map or as bars."""
    if y.ndim == 1:
        figure = _figure(8.4, 1.7)
        for axis, values, title in zip(
            figure.subplots(1, 2), (y, delta), ("y", "δ = ∂E/∂y"), strict=True
        ):
            axis.bar(range(len(values)), values, width=1 if len(values) > 30 else 0.8,
                     color=np.where(values < 0, "#5E3C99", ORANGE))  # fmt: skip
            axis.axhline(0, color="black", linewidth=0.6)
            axis.set_title(title, fontsize=9)
            axis.tick_params(labelsize=7)
            axis.spines[["top", "right"]].set_visible(False)
        return png(figure)
    maps = min(y.shape[-1], MAPS)
    columns = min(maps, 4 if maps <= 8 else 8)
    rows = -(-maps // columns)
    figure = _figure(8.4, 0.35 + rows * 4.0 / columns)
    halves = figure.subfigures(1, 2)
    for half, values, title in zip(halves, (y, delta), ("y", "δ = ∂E/∂y"), strict=True):
        half.suptitle(title, fontsize=9)
        limit = float(np.abs(values).max()) or 1.0
        for i, axis in enumerate(half.subplots(rows, columns, squeeze=False).flat):
            axis.set_axis_off()
            if i < maps:
                show(axis, values[..., i : i + 1], signed=True, limit=limit)
    return png(figure)


def probabilities(values: Float[np.ndarray, " k"], label: int, names: Sequence[str]) -> bytes:
    """A bar for each class; the one that δ comes from is orange."""
    figure = _figure(4.2, 0.5 + 0.24 * len(values))
    axis = figure.subplots()
    colours = [ORANGE if k == label else MIDDLE for k in range(len(values))]
    bars = axis.barh(names, 100 * values, color=colours)
    axis.bar_label(bars, [f"{100 * value:.1f} %" for value in values], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set(xlim=(0, 115), xlabel="probability / %")
    axis.spines[["top", "right"]].set_visible(False)
    return png(figure)


def saliency(image: Float[np.ndarray, "h w c"], gradient: Float[np.ndarray, "h w c"]) -> bytes:
    """The image, ∂logit/∂image, and its size over the image."""
    figure = _figure(6.6, 2.5)
    axes = figure.subplots(1, 3)
    show(axes[0], image, signed=False)
    show(axes[1], gradient, signed=True)
    show(axes[2], image, signed=False)
    size = np.abs(gradient).max(-1)
    axes[2].imshow(size, cmap="viridis", alpha=0.65)
    for axis, title in zip(axes, ("image", "∂logit/∂image", "its size"), strict=True):
        axis.set_title(title, fontsize=9)
    return png(figure)


def receptive_fields(
    image: Float[np.ndarray, "h w c"], fields: dict[str, tuple[int, int, int, int]]
) -> bytes:
    """The image, once for each layer, with the pixels that a unit in its middle depends on."""
    from matplotlib.patches import Rectangle

    columns = min(6, len(fields))
    rows = -(-len(fields) // columns)
    figure = _figure(1.5 * columns, 1.8 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, (top, left, bottom, right)) in zip(axes.flat, fields.items(), strict=False):
        show(axis, image, signed=False)
        corner = (left - 0.5, top - 0.5)
        axis.add_patch(
            Rectangle(corner, right - left, bottom - top, fill=False, edgecolor=ORANGE, lw=2)
        )
        axis.set_title(f"{name}\n{bottom - top} × {right - left}", fontsize=8)
    return png(figure)


def confusion(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> bytes:
    """Rows: true classes; columns: what they were taken for. Mistakes have colour, hits do not."""
    figure = _figure(1.2 + 0.5 * len(names), 1.0 + 0.46 * len(names))
    axis = figure.subplots()
    mistakes = counts - np.diag(np.diag(counts))
    axis.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(1, 1.6 * mistakes.max()))
    axis.set(xlabel="taken for", ylabel="is")
    axis.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 2 else 0)
    axis.set_yticks(range(len(names)), names)
    for (row, column), count in np.ndenumerate(counts):
        weight = "bold" if row == column else "normal"
        axis.text(column, row, str(count) if count else "·", ha="center", va="center",
                  fontsize=8, fontweight=weight)  # fmt: skip
    return png(figure)
