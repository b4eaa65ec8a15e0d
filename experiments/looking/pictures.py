"""The report's pictures, each as a PNG: signed maps orange (positive) and violet (negative).

All have one width, at which their letters can be read on a telephone as well: what is more than
fits becomes several pictures.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from experiments.plots.sheet import Sheet

MAPS = 32  # shown of a layer at most
MISTAKES = 24
TILES = 8  # in a picture
WIDTH, DPI = 4.5, 150
SIGNED, GREY = "PuOr_r", "gray"
BLUE, ORANGE, VIOLET, MIDDLE = "#0072B2", "#E66101", "#5E3C99", "#9A9A9A"


def png(figure: Any) -> bytes:
    """The figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _figure(height: float, width: float = WIDTH) -> Any:
    # A Figure of its own, not pyplot: no global state, no window system.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


def tiles(
    images: Float[np.ndarray, "m h w c"], titles: Sequence[str], *, signed: bool
) -> list[bytes]:
    """Images under their titles, eight to a picture; signed ones each on a scale of its own."""
    return [
        _sheet(images[i : i + TILES], titles[i : i + TILES], signed)
        for i in range(0, len(images), TILES)
    ]


def _sheet(images: np.ndarray, titles: Sequence[str], signed: bool) -> bytes:
    sheet = Sheet(len(images), 4, 0.98, heading="", caption_lines=1)
    for image, title in zip(images, titles, strict=True):
        limit = float(np.abs(image).max()) or 1.0
        if image.shape[-1] == 1:
            look = {"cmap": SIGNED, "vmin": -limit, "vmax": limit} if signed else {
                "cmap": GREY, "vmin": 0, "vmax": 1}  # fmt: skip
            sheet.show(image[..., 0], title, interpolation="nearest", **look)
        else:  # of a signed colour picture zero is middle grey in every channel
            colours = 0.5 + 0.5 * image / limit if signed else image
            sheet.show(np.clip(colours, 0, 1), title, interpolation="nearest")
    return png(sheet.finished())


def _mosaic(maps: Float[np.ndarray, "m h w"], columns: int) -> Float[np.ndarray, "p q"]:
    """Maps in rows, with an empty line between them; drawn at once they take no time."""
    count, h, w = maps.shape
    gap = max(1, round(max(h, w) / 16))
    rows = -(-count // columns)
    page = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), np.nan)
    for i, one in enumerate(maps):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        page[top : top + h, left : left + w] = one
    return page


def signed_maps(
    values: Float[np.ndarray, "h w m"], title: str, *, limit: float = 0, columns: int = 0
) -> bytes:
    """The first maps of a layer on one scale, which stands beside them."""
    count = min(values.shape[-1], MAPS)
    columns = columns or min(count, 4 if count <= 8 else 8)
    page = _mosaic(np.moveaxis(values[..., :count], -1, 0), columns)
    return _signed(page, title, limit or float(np.abs(values).max()))


def _signed(page: Float[np.ndarray, "p q"], title: str, limit: float) -> bytes:
    limit = limit or 1.0
    across = 0.78 * WIDTH  # the rest is for the scale
    height = float(np.clip(across * page.shape[0] / page.shape[1], 0.9, 4.5))
    figure = _figure(height + 0.35)
    axis = figure.subplots()
    axis.set_axis_off()
    drawn = axis.imshow(page, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
    axis.set_title(title, fontsize=10)
    bar = figure.colorbar(drawn, ax=axis, fraction=0.05, aspect=25)
    bar.set_ticks([-limit, 0, limit], labels=[f"−{limit:.2g}", "0", f"{limit:.2g}"])
    bar.ax.tick_params(labelsize=9)
    return png(figure)


def table_kernels(
    weights: Float[np.ndarray, "kh kw m"], table: Sequence[Sequence[int]]
) -> Float[np.ndarray, "h w"]:
    """The kernels of a table of connections where the table has them, as one page; else nothing.

    A row for each map below, a column for each map of the layer: as the paper prints its table.
    """
    below = 1 + max(max(row) for row in table)
    kernels = np.full((below, len(table), *weights.shape[:2]), np.nan)
    places = [(c, d) for d, row in enumerate(table) for c in row]
    for index, (c, d) in enumerate(places):
        kernels[c, d] = weights[..., index]
    return _mosaic(kernels.reshape(-1, *weights.shape[:2]), len(table))


def table_picture(
    weights: Float[np.ndarray, "kh kw m"], table: Sequence[Sequence[int]], title: str
) -> bytes:
    """`table_kernels` with its axes labelled."""
    page = table_kernels(weights, table)
    limit = float(np.abs(weights).max()) or 1.0
    rows, columns = 1 + max(max(row) for row in table), len(table)
    figure = _figure(0.9 + WIDTH * page.shape[0] / page.shape[1])
    axis = figure.subplots()
    drawn = axis.imshow(page, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest",
                        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), aspect="auto")  # fmt: skip
    axis.set_xticks(range(columns))
    axis.set_yticks(range(rows))
    axis.tick_params(labelsize=8, length=0)
    axis.set_xlabel("map of this layer", fontsize=9)
    axis.set_ylabel("map below", fontsize=9)
    axis.set_title(title, fontsize=10)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(drawn, ax=axis, fraction=0.04)
    bar.set_ticks([-limit, 0, limit], labels=[f"−{limit:.2g}", "0", f"{limit:.2g}"])
    bar.ax.tick_params(labelsize=9)
    return png(figure)


def bars(values: Float[np.ndarray, " k"], title: str) -> bytes:
    """A vector, element by element."""
    figure = _figure(1.9)
    axis = figure.subplots()
    axis.bar(range(len(values)), values, width=1 if len(values) > 30 else 0.8,
             color=np.where(values < 0, VIOLET, ORANGE))  # fmt: skip
    axis.axhline(0, color="black", linewidth=0.6)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("unit", fontsize=9)
    axis.tick_params(labelsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    return png(figure)


def layer(values: np.ndarray, title: str) -> bytes:
    """Maps, or a vector."""
    return bars(values, title) if values.ndim == 1 else signed_maps(values, title)


def probabilities(values: Float[np.ndarray, " k"], label: int, names: Sequence[str]) -> bytes:
    """A bar for each class; the one that δ comes from is orange."""
    figure = _figure(0.6 + 0.24 * len(values))
    axis = figure.subplots()
    colours = [ORANGE if k == label else MIDDLE for k in range(len(values))]
    drawn = axis.barh(names, 100 * values, color=colours)
    axis.bar_label(drawn, [f"{100 * value:.1f} %" for value in values], padding=3, fontsize=9)
    axis.invert_yaxis()
    axis.set(xlim=(0, 115), xlabel="probability / %")
    axis.set_ylabel("class")
    axis.spines[["top", "right"]].set_visible(False)
    return png(figure)


def picture(
    image: Float[np.ndarray, "h w c"], title: str, over: Float[np.ndarray, "h w"] | None = None
) -> bytes:
    """A picture with its pixels counted; over it, through a veil, what has a scale of its own."""
    figure = _figure(3.6)
    axis = figure.subplots()
    axis.imshow(image.squeeze(), cmap=GREY, vmin=0, vmax=1, interpolation="nearest")
    if over is not None:
        drawn = axis.imshow(over, cmap="viridis", alpha=0.7, vmin=0, interpolation="nearest")
        figure.colorbar(drawn, ax=axis, fraction=0.05).ax.tick_params(labelsize=9)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("column", fontsize=9)
    axis.set_ylabel("row", fontsize=9)
    axis.tick_params(labelsize=9)
    return png(figure)


def framed(
    image: Float[np.ndarray, "h w c"], field: tuple[int, int, int, int]
) -> Float[np.ndarray, "p q 3"]:
    """The picture eight times as large, with an orange frame around rows and columns of a field."""
    large = np.kron(np.broadcast_to(image, (*image.shape[:2], 3)), np.ones((8, 8, 1)))
    top, left, bottom, right = (8 * edge for edge in field)
    inside = np.zeros(large.shape[:2], bool)
    inside[top:bottom, left:right] = True
    inside[top + 6 : bottom - 6, left + 6 : right - 6] = False
    large[inside] = [int(ORANGE[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return large


def confusion(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> bytes:
    """Rows: true classes; columns: what they were taken for. Mistakes have colour, hits do not."""
    width = max(WIDTH, 0.4 * len(names))
    figure = _figure(width, width)
    axis = figure.subplots()
    mistakes = counts - np.diag(np.diag(counts))
    axis.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(1, 1.6 * mistakes.max()))
    axis.set(xlabel="taken for", ylabel="is")
    turned = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 2 else {}
    axis.set_xticks(range(len(names)), names, **turned)
    axis.set_yticks(range(len(names)), names)
    for (row, column), count in np.ndenumerate(counts):
        weight = "bold" if row == column else "normal"
        axis.text(column, row, str(count) if count else "·", ha="center", va="center",
                  fontsize=9, fontweight=weight)  # fmt: skip
    return png(figure)
