"""Which elements of a map make each element of the resized one, and with what weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from jaxcnn import check

METHODS = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
Scale = float | Sequence[float]
Weighed = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ResizeGeometry:
    """Every element of the result is a weighted sum of a few of the map, axis by axis."""

    input: tuple[int, ...]
    output: tuple[int, ...]
    scale: tuple[float, ...] | None
    method: str
    coordinates: str
    rounding: str

    def step(self, axis: int) -> Fraction:
        """How far apart neighbours of the result lie on the map."""
        h, p = self.input[axis], self.output[axis]
        if self.coordinates == "align_corners":
            return Fraction(h - 1, max(p - 1, 1))
        return Fraction(h, p) if self.scale is None else 1 / Fraction(self.scale[axis])

    def gathered(self, axis: int) -> Weighed:
        """For every element of the result those of the map, and the weight of each."""
        result, place, weights = self._weights(axis)
        return _in_rows(result, place, weights, self.output[axis])

    def scattered(self, axis: int) -> Weighed:
        """For every element of the map those of the result, and the weight of each."""
        result, place, weights = self._weights(axis)
        return _in_rows(place, result, weights, self.input[axis])

    def _weights(self, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(i, j, w) of every y[i] = Σ w x[j], in order, each i and j once and no w 0."""
        h, p = self.input[axis], self.output[axis]
        places = self._places(axis)
        if self.method == "nearest":
            taps = _ROUND[self.rounding](places)[:, None]
        else:
            reach = 1 if self.method == "linear" else 2
            taps = np.floor(places)[:, None] + np.arange(1 - reach, 1 + reach)
        weights = _KERNELS[self.method](np.abs(taps - places[:, None]))
        # Beyond the edge, the edge is repeated.
        pairs = np.arange(p)[:, None] * h + taps.astype(int).clip(0, h - 1)
        found, position = np.unique(pairs, return_inverse=True)
        total = np.bincount(position.ravel(), weights.ravel(), found.size)
        found, total = found[total != 0], total[total != 0]
        return found // h, found % h, total

    def _places(self, axis: int) -> np.ndarray:
        """Where on the map each element of the result lies, 0 being its first element."""
        p, step = self.output[axis], self.step(axis)
        if self.coordinates == "pytorch_half_pixel" and p == 1:
            return np.zeros(1)
        half = Fraction(1, 2) if self.coordinates.endswith("half_pixel") else Fraction(0)
        # Quotients to be rounded are those of float32, as elsewhere: there 3 / 0.6 is 5.
        kind = np.float32 if self.method == "nearest" else np.float64
        return np.array([(i + half) * step for i in range(p)], kind) - kind(half)


def _in_rows(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray, count: int) -> Weighed:
    """count × k: the columns of each row and their weights, filled with weights of 0."""
    order = np.argsort(rows, kind="stable")
    rows, columns, weights = rows[order], columns[order], weights[order]
    lengths = np.bincount(rows, minlength=count)
    place = np.arange(rows.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    index = np.zeros((count, lengths.max()), np.int32)
    filled = np.zeros(index.shape)
    index[rows, place], filled[rows, place] = columns, weights
    return index, filled


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys 1981, equation 4, with the slope a = −0.75 at distance 1 of PyTorch and ONNX."""
    a, d = -0.75, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    return np.where(d <= 1, near, (((d - 5) * d + 8) * d - 4) * a * (d < 2))


_ROUND = {
    "round_prefer_floor": lambda place: np.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: np.floor(place + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
_KERNELS = {"nearest": np.ones_like, "linear": lambda distance: 1 - distance, "cubic": _cubic}


def check_scale(op: str, name: str, value: Any) -> float | tuple[float, ...]:
    """A number above 0, or several."""
    if check.is_sequence(value):
        return tuple(check.positive(op, name, entry) for entry in value)
    return check.positive(op, name, value)


def parse_resize_geometry(
    op: str, input_size: Sequence[int], size: Any, scale: Any, method: Any, coordinates: Any,
    rounding: Any,
) -> ResizeGeometry:  # fmt: skip
    """The geometry of a resizing to a size, or by a scale: p = ⌊h · scale⌋."""
    axes = len(input_size)
    if (size is None) == (scale is None):
        raise ValueError(
            f"{op}: size or scale must be given, and not both, "
            f"got {check.shown(size)} and {check.shown(scale)}"
        )
    words = (
        check.choice(op, "method", method, METHODS),
        check.choice(op, "coordinates", coordinates, COORDINATES),
        check.choice(op, "rounding", rounding, ROUNDINGS),
    )
    if scale is None:
        output = check.per_axis(op, "size", size, axes)
        check.known_sizes(op, "size", (*input_size, *output))
        return ResizeGeometry(tuple(input_size), output, None, *words)
    check.known_sizes(op, "scale", input_size)
    found = check_scale(op, "scale", scale)
    scales = found if isinstance(found, tuple) else (found,) * axes
    if len(scales) != axes:
        raise ValueError(
            f"{op}: scale must be a number or one per spatial axis ({axes}), "
            f"got {check.shown(scale)}"
        )
    sizes = (math.floor(h * s) for h, s in zip(input_size, scales, strict=True))
    output = tuple(check.integer(op, "scale", size) for size in sizes)
    if 0 in output:
        raise ValueError(
            f"{op}: scale must leave an element of the map, "
            f"got {check.shown(scale)} for a map of {tuple(input_size)}"
        )
    return ResizeGeometry(tuple(input_size), output, scales, *words)
