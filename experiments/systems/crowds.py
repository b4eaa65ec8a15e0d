"""Scenes with several digits among clutter, each a function of a seed and a number.

Coordinates are in pixels from the upper left corner: pixel (i, j) covers [i, i + 1].
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8

from experiments.data import Split
from experiments.systems.scenes import INK, intersection_over_union

SIDE = 160
DIGITS = (3, 8)  # in a scene, and as many pieces of clutter
SIZES = (14, 56)  # pixels of the longer side of a digit's box
CONTRAST = (0.4, 1.0)
OVERLAP = 0.2  # intersection over union, at most
NOISE = 0.1
STROKE = (1.0, 2.5)  # half the width of a stroke, in pixels
TRIES = 100  # places that are tried for a piece before it is drawn anew, smaller or larger


class Crowd(NamedTuple):
    """A canvas with pixels around [0, 1], its digits, and a box for each: x0, y0, x1, y1."""

    canvas: Float32[np.ndarray, "h w"]
    labels: Int[np.ndarray, " k"]
    boxes: Float32[np.ndarray, "k 4"]


def draw_crowd(digits: Split, seed: int, number: int) -> Crowd:
    """The number-th scene of a seed: digits of the split, and clutter made of others of them."""
    rng = np.random.default_rng([seed, number])
    count = int(rng.integers(DIGITS[0], DIGITS[1] + 1))
    chosen = rng.integers(len(digits.labels), size=count)
    canvas = np.zeros((SIDE, SIDE), np.float32)
    boxes: list[np.ndarray] = []
    for image in digits.images[chosen, ..., 0]:
        boxes.append(_put(rng, canvas, partial(_scaled, rng, image), boxes))
    taken = list(boxes)
    for _ in range(count):
        draw = _stroke if rng.random() < 0.5 else partial(_cut, images=digits.images)
        taken.append(_put(rng, canvas, partial(draw, rng), taken))
    canvas += NOISE * rng.standard_normal(canvas.shape, np.float32)
    return Crowd(canvas, digits.labels[chosen], np.array(boxes, np.float32))


def _put(rng, canvas, draw, taken) -> np.ndarray:
    """Draw a piece at a place where it overlaps none of the boxes by too much; its box there."""
    while True:
        piece = draw()
        h, w = piece.shape
        for _ in range(TRIES):
            y, x = (int(rng.integers(SIDE - size + 1)) for size in (h, w))
            box = np.array([x, y, x + w, y + h], np.float32)
            if not taken or intersection_over_union(box, np.array(taken)).max() <= OVERLAP:
                part = canvas[y : y + h, x : x + w]
                np.maximum(part, rng.uniform(*CONTRAST) * piece, out=part)
                return box


def _scaled(rng, image: UInt8[np.ndarray, "28 28"]) -> Float32[np.ndarray, "h w"]:
    """A digit, cut out along its box, at one of the sizes: the mean over each new pixel."""
    (rows,), (columns,) = (np.nonzero((image > INK).any(axis)) for axis in (1, 0))
    digit = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32) / 255
    scale = rng.uniform(*SIZES) / max(digit.shape)
    down, across = (_weights(size, max(1, round(size * scale))) for size in digit.shape)
    return down @ digit @ across.T


def _weights(old: int, new: int) -> Float32[np.ndarray, "new old"]:
    """Linear interpolation; where pixels become fewer, hats as wide as a new pixel."""
    centres = (np.arange(new, dtype=np.float32)[:, None] + 0.5) * (old / new) - 0.5
    hats = np.maximum(0, 1 - abs(centres - np.arange(old)) / max(1, old / new))
    return (hats / hats.sum(1, keepdims=True)).astype(np.float32)


def _cut(rng, images: UInt8[np.ndarray, "n 28 28 1"]) -> Float32[np.ndarray, "h w"]:
    """A part of some digit, between a third and half of its height and of its width."""
    whole = _scaled(rng, images[rng.integers(len(images)), ..., 0])
    sizes = [min(size, max(3, round(size * rng.uniform(1 / 3, 1 / 2)))) for size in whole.shape]
    spare = zip(whole.shape, sizes, strict=True)
    y, x = (int(rng.integers(size - part + 1)) for size, part in spare)
    return whole[y : y + sizes[0], x : x + sizes[1]]


def _stroke(rng) -> Float32[np.ndarray, "h w"]:
    """A straight line with round ends, half as long as digits are."""
    length, angle = rng.uniform(SIZES[0] / 2, SIZES[1] / 2), rng.uniform(0, np.pi)
    radius = rng.uniform(*STROKE)
    along = length / 2 * np.array([np.sin(angle), np.cos(angle)])
    h, w = (int(np.ceil(2 * (abs(part) + radius))) for part in along)
    grid = np.moveaxis(np.mgrid[:h, :w], 0, -1) + 0.5 - np.array([h, w]) / 2
    share = np.clip(grid @ along / (along @ along), -1, 1)
    distance = np.linalg.norm(grid - share[..., None] * along, axis=-1)
    return np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
