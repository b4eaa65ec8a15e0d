"""What is found in scenes, and what is not: boxes with classes and scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots.small import save_small
from experiments.systems.crowds import SIDE, Crowd
from experiments.systems.detector import DIGIT
from experiments.systems.regions import Detections, hits

SHOWN = 8  # scenes
SURE = 0.0  # the least score of what is drawn


def save_found(crowds: Sequence[Crowd], found: Detections, title: str, path: Path) -> None:
    """The first scenes, with what is found in them and what is not."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    crowds = crowds[:SHOWN]
    shown = (found.score >= SURE) & (found.scene < len(crowds))
    found = Detections(*(part[shown] for part in found))
    right, seen = hits(found, crowds, DIGIT)
    columns = min(4, len(crowds))
    rows = -(-len(crowds) // columns)
    figure = Figure(figsize=(3 * columns, 3 * rows + 0.6), layout="constrained", dpi=80)
    figure.suptitle(f"{title}\nsolid: right, dashed: wrong, dotted: not found")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()

    def frame(axis: Any, box: np.ndarray, text: str, colour: str, style: str) -> None:
        x0, y0, x1, y1 = box
        look = {"fill": False, "edgecolor": colour, "linestyle": style, "lw": 1.4}
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **look))
        behind = {"facecolor": "black", "alpha": 0.7, "pad": 0.6, "lw": 0}
        axis.text(x0, max(y0, 10), text, color=colour, fontsize=8.5, va="bottom", bbox=behind)

    for number, (crowd, axis) in enumerate(zip(crowds, axes, strict=False)):
        axis.imshow(crowd.canvas, cmap="gray", vmin=0, vmax=1, extent=(0, SIDE, SIDE, 0))
        for i in np.flatnonzero(found.scene == number):
            text = f"{found.label[i]}: {found.score[i]:.1f}"
            look = ("#56B4E9", "-") if right[i] else ("#E69F00", "--")
            frame(axis, found.box[i], text, *look)
        for i in np.flatnonzero(~seen[number]):
            frame(axis, crowd.boxes[i], f"{crowd.labels[i]}", "white", ":")
    save_small(figure, path)
