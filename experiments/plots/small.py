"""Pictures small enough to be shown in a README."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

COLOURS = 64


def save_small(figure: Any, path: Path) -> None:
    """The figure as a PNG of 64 colours, a third of the size of one with all of them."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        # What is rare, such as the colour of a box's frame, is kept beside thousands of greys.
        spread = Image.Quantize.MAXCOVERAGE
        few = image.convert("RGB").quantize(COLOURS, spread, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
