"""Regions that may hold something, whatever it is: segments, grouped until none are left to join.

Uijlings, van de Sande, Gevers and Smeulders 2013, "Selective Search for Object Recognition": every
group on the way, from the first segments to the last, is a proposal. The segments are those of
Felzenszwalb and Huttenlocher 2004, by scikit-image. Two changes for grey scenes on a dark ground:
segments as dark as the ground join nothing, and grey values have the place of colours and texture.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

SCALE = 50.0  # of Felzenszwalb and Huttenlocher: the larger, the larger are the segments
SIGMA = 0.8  # pixels, of the blur before it
SMALLEST = 12  # pixels in a segment
GROUND = 0.12  # segments with a smaller mean are ground
GAP = 1  # pixels by which segments are widened to find their neighbours
# What differing grey values, sizes, and holes in the common box count for: one grouping for each.
WEIGHTS = ((3.0, 1.0, 1.0), (0.0, 1.0, 1.0))
SIDES = (8, 80)  # pixels: the longer side of a proposal
MOST = 300


class Segments(NamedTuple):
    """Pixels, mean and box (x0, y0, x1, y1) of each, and which of them touch."""

    size: Float[np.ndarray, " n"]
    mean: Float[np.ndarray, " n"]
    box: Float[np.ndarray, "n 4"]
    touch: Bool[np.ndarray, "n n"]


def propose(canvas: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "k 4"]:
    """The boxes of all groups, at most 300 of them, those of the largest groups first."""
    segments = segmented(canvas)
    groups = [grouped(segments, weights, canvas.size) for weights in WEIGHTS]
    boxes = np.concatenate([segments.box, *groups])
    longer = (boxes[:, 2:] - boxes[:, :2]).max(1)
    boxes = boxes[(longer >= SIDES[0]) & (longer <= SIDES[1])]
    # The last groups are the largest.
    _, first = np.unique(boxes[::-1], axis=0, return_index=True)
    return boxes[::-1][np.sort(first)[:MOST]].astype(np.float32)


def segmented(canvas: Float32[np.ndarray, "h w"]) -> Segments:
    """The segments that are not ground."""
    from skimage.segmentation import expand_labels, felzenszwalb

    found = felzenszwalb(canvas, scale=SCALE, sigma=SIGMA, min_size=SMALLEST).ravel()
    mean = np.bincount(found, canvas.ravel()) / np.bincount(found)
    bright = mean > GROUND
    number = np.where(bright, np.cumsum(bright), 0)  # from 1; 0 is the ground
    labels = number[found].reshape(canvas.shape)
    n = int(bright.sum())
    wide = expand_labels(labels, GAP)
    touch = np.zeros((n + 1, n + 1), bool)
    for one, other in ((wide[1:], wide[:-1]), (wide[:, 1:], wide[:, :-1])):
        touch[one, other] = touch[other, one] = True
    np.fill_diagonal(touch, False)
    size = np.bincount(labels.ravel(), minlength=n + 1)
    return Segments(size[1:].astype(np.float64), mean[bright], _boxes(labels, n), touch[1:, 1:])


def _boxes(labels: Int[np.ndarray, "h w"], n: int) -> Float[np.ndarray, "n 4"]:
    """Of the labels from 1 to n."""
    rows, columns = np.nonzero(labels)
    label = labels[rows, columns] - 1
    box = np.tile([np.inf, np.inf, 0, 0], (n, 1))
    for edge, update, places in (
        (0, np.minimum, columns),
        (1, np.minimum, rows),
        (2, np.maximum, columns + 1),
        (3, np.maximum, rows + 1),
    ):
        update.at(box[:, edge], label, places)
    return box


def grouped(
    segments: Segments, weights: tuple[float, float, float], area: int
) -> Float[np.ndarray, "m 4"]:
    """The boxes of the groups made by joining, again and again, the two most alike neighbours.

    −w₁ |mean − mean′| − (w₂ (size + size′) + w₃ (common box − size − size′)) / area says how alike
    they are: small ones come first, so that groups grow everywhere at the same rate.
    """
    size, mean, box, touch = (part.copy() for part in segments)
    grey, small, filled = weights

    def alike(one: int, others: np.ndarray) -> np.ndarray:
        sizes = size[one] + size[others]
        common = _common(box[one], box[others])
        hole = (common[:, 2:] - common[:, :2]).prod(1) - sizes
        return -grey * abs(mean[one] - mean[others]) - (small * sizes + filled * hole) / area

    likeness = np.full(touch.shape, -np.inf)
    for one, row in enumerate(touch):
        likeness[one, row] = alike(one, np.flatnonzero(row))
    groups = []
    while touch.any():
        one, other = divmod(int(likeness.argmax()), len(likeness))
        pair = [one, other]
        mean[one] = mean[pair] @ size[pair] / size[pair].sum()
        size[one] = size[pair].sum()
        box[one] = _common(box[one], box[other])
        groups.append(box[one].copy())
        touch[one] |= touch[other]
        touch[other] = touch[one, pair] = False
        touch[:, other], touch[:, one] = False, touch[one]
        likeness[pair], likeness[:, pair] = -np.inf, -np.inf
        others = np.flatnonzero(touch[one])
        likeness[one, others] = likeness[others, one] = alike(one, others)
    return np.array(groups).reshape(-1, 4)


def _common(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The smallest box around both."""
    low, high = np.minimum(one[..., :2], other[..., :2]), np.maximum(one[..., 2:], other[..., 2:])
    return np.concatenate([low, high], -1)
