"""Many small pictures on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Inches above the pictures for each line of the heading, and between picture and picture; points of
# a caption's letters.
LINE, GAP, LETTERS = 0.3, 0.08, 8


class Sheet:
    """Pictures of one size in rows, all on the same axes: axes for each take ten times as long."""

    def __init__(
        self, count: int, columns: int, width: float, heading: str, caption_lines: int = 0
    ):
        """A page for so many pictures, each so many inches wide, with lines of text above each."""
        from matplotlib.figure import Figure

        self._columns, self._shown = columns, 0
        self._caption = caption_lines * LETTERS * 1.4 / 72 / width  # in widths of a picture
        self._gap = GAP / width
        rows = max(1, -(-count // columns))
        page = max(columns * (width + GAP) + GAP, 4.5)
        head = 0.1 + LINE * (1 + heading.count("\n")) if heading else 0
        height = rows * (width * (1 + self._caption) + GAP) + GAP
        self.figure = Figure(figsize=(page, head + height), dpi=150)
        if heading:
            self.figure.suptitle(heading, y=1 - 0.1 / (head + height), va="top")
        self._axes = self.figure.add_axes((0, 0, 1, height / (head + height)))
        self._axes.set_axis_off()
        self._limits = (0, page / width), (height / width, 0)

    def show(self, picture: np.ndarray, caption: str = "", **settings: Any) -> None:
        """The next picture, h w or h w 3, drawn with these settings of matplotlib's `imshow`."""
        row, column = divmod(self._shown, self._columns)
        x = self._gap + column * (1 + self._gap)
        y = self._gap + self._caption + row * (1 + self._caption + self._gap)
        self._axes.imshow(picture, extent=(x, x + 1, y + 1, y), **settings)
        self._axes.text(x + 0.5, y - 0.03, caption, ha="center", va="bottom", fontsize=LETTERS)
        self._shown += 1

    def skip(self, count: int) -> None:
        """Leave the places of so many pictures empty."""
        self._shown += count

    def finished(self) -> Any:
        """The page as a figure."""
        self._axes.set(xlim=self._limits[0], ylim=self._limits[1])
        return self.figure

    def save(self, path: Path) -> None:
        """Write the page."""
        self.finished().savefig(path)
