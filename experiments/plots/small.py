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
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
