"""Arrays as pictures, for notebooks and files, with nothing but the standard library and NumPy.

Signed numbers are orange where positive, violet where negative and white at zero: colours that the
colour-blind can tell apart. The scale is one for the whole picture and reaches to the largest
absolute value.
"""

import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jax.core import Tracer

from jaxcnn import check

VIOLET, WHITE, ORANGE = (94, 60, 153), (247, 247, 247), (230, 97, 1)
EDGE = 200
"""Between one map and the next."""
MAPS, ROWS = 64, 8
"""So many maps are shown at most, and so many in a row."""
ENLARGED, HIGH = 480, 12
"""So many pixels wide is a picture about, and a row of numbers that high; an element is a rectangle
of whole pixels."""


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture: pixels h w 3 of bytes. Notebooks show it; `save` writes a PNG file."""

    pixels: np.ndarray
    limit: float
    """What the darkest orange stands for."""

    def png(self) -> bytes:
        """The picture as a PNG file (W3C, "PNG specification", third edition)."""
        height, width, _ = self.pixels.shape
        lines = np.concatenate(
            [np.zeros((height, 1), np.uint8), self.pixels.reshape(height, -1)], axis=1
        )
        parts = {
            b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
            b"IDAT": zlib.compress(lines.tobytes(), 9),
            b"IEND": b"",
        }
        chunks = (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in parts.items()
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

    def save(self, path: Any) -> None:
        """Write the picture into a PNG file."""
        with open(path, "wb") as file:
            file.write(self.png())

    def _repr_png_(self) -> bytes:
        return self.png()

    def _repr_html_(self) -> str:
        height, width, _ = self.pixels.shape
        said = f"signed map, from −{self.limit:.3g} in violet to {self.limit:.3g} in orange"
        return (
            f'<img width="{width}" height="{height}" style="image-rendering:pixelated" '
            f'alt="{said}" title="{said}" src="data:image/png;base64,'
            f'{b64encode(self.png()).decode()}">'
        )

    def __repr__(self) -> str:
        height, width, _ = self.pixels.shape
        return f"Picture of {height} × {width} pixels, ±{self.limit:.3g}"


def picture(values: Any) -> Picture:
    """An attribution, a δ or a map as a picture: of a batch the first example.

    Maps h w c stand side by side, eight in a row, the first 64 of them; a vector is one row. What
    is not finite is shown in grey.

    Args:
        values: an array n h w c or n c of numbers; n w c is drawn as rows, n d h w c as maps for
            every d.

    Raises:
        TypeError: values are no array of real numbers.
        ValueError: there are none, or more than five axes.
    """
    array = _numbers(values)
    plane = _mosaic(_maps(array))
    shown = np.isfinite(plane)
    size = np.abs(np.where(shown, plane, 0))
    limit = float(size.max())
    share = np.where(shown, size / (limit or 1.0), 0)[..., None]
    end = np.where((plane >= 0)[..., None], np.array(ORANGE), np.array(VIOLET))
    colours = np.array(WHITE) + share * (end - np.array(WHITE))
    colours[~shown] = 160
    colours[np.isneginf(plane)] = EDGE  # between maps; see `_mosaic`
    wide = max(1, round(ENLARGED / colours.shape[1]))
    high = max(wide, HIGH) if len(plane) < HIGH else wide
    pixels = colours.round().astype(np.uint8).repeat(high, 0).repeat(wide, 1)
    return Picture(pixels, limit)


def _numbers(values: Any) -> np.ndarray:
    if not check.holds_numbers(values):
        raise TypeError(f"picture: values must be an array, got {check.shown(values)}")
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise TypeError(f"picture: values must be real numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    if array.size == 0 or array.ndim > 5:
        raise ValueError(
            f"picture: values must have elements and at most 5 axes, got shape {array.shape}"
        )
    return array


def _maps(array: np.ndarray) -> np.ndarray:
    """Of the first example, as maps m h w."""
    if array.ndim <= 2:
        return array[:1][None] if array.ndim == 2 else array.reshape(1, 1, -1)
    first = array[0]
    if first.ndim == 2:  # w c: a row for every channel
        return first.T[:, None]
    first = first.reshape(-1, *first.shape[-3:])  # d h w c, or 1 h w c
    return np.moveaxis(first, -1, 0).reshape(-1, *first.shape[1:3])


def _mosaic(maps: np.ndarray) -> np.ndarray:
    """Maps in rows, with −∞ in the gap between them."""
    maps = np.where(np.isneginf(maps), np.nan, maps)[:MAPS]
    count, h, w = maps.shape
    columns = 1 if h == 1 else min(count, ROWS)
    rows = -(-count // columns)
    page = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), -np.inf)
    for i, one in enumerate(maps):
        top, left = (i // columns) * (h + 1), (i % columns) * (w + 1)
        page[top : top + h, left : left + w] = one
    return page


def table(arrays: Mapping[str, Any]) -> str:
    """Pictures of arrays in nested dicts, as a table for notebooks: name, shape, picture."""
    lines: list[str] = []

    def walk(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, below in value.items():
                walk(f"{name}/{key}" if name else key, below)
        elif check.holds_numbers(value):
            shape = " × ".join(map(str, value.shape))
            shown = "" if isinstance(value, Tracer) else picture(value)._repr_html_()
            lines.append(f"<tr><td>{escape(name)}</td><td>{shape}</td><td>{shown}</td></tr>")

    walk("", arrays)
    return f"<table><tr><th>δ at</th><th>shape</th><th></th></tr>{''.join(lines)}</table>"
