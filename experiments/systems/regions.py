"""What is made of a scene's regions: labels, warped pixels, moved boxes, detections, precision.

Girshick, Donahue, Darrell and Malik 2014, "Rich feature hierarchies for accurate object detection
and semantic segmentation", with its appendices A (warping) and C (bounding-box regression).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

import jaxcnn
from experiments.systems.crowds import Crowd
from experiments.systems.scenes import intersection_over_union

SIZE = 32  # pixels of a side of a warped region
TOGETHER = 64  # regions that are warped in one call


class Regions(NamedTuple):
    """Boxes of many scenes, one after the other.

    overlap: intersection over union with the best of each class's digits in the scene. nearest: the
    digit's box that the region overlaps most.
    """

    scene: Int[np.ndarray, " n"]
    box: Float[np.ndarray, "n 4"]
    overlap: Float[np.ndarray, "n classes"]
    nearest: Float[np.ndarray, "n 4"]


def regions_of(
    crowds: Sequence[Crowd], boxes: Sequence[Float[np.ndarray, "k 4"]], classes: int
) -> Regions:
    """These boxes of these scenes, compared with the scenes' digits."""
    parts = []
    for number, (crowd, own) in enumerate(zip(crowds, boxes, strict=True)):
        each = intersection_over_union(own[:, None], crowd.boxes[None])
        overlap = np.zeros((len(own), classes), np.float32)
        for label, column in zip(crowd.labels, each.T, strict=True):
            overlap[:, label] = np.maximum(overlap[:, label], column)
        scene = np.full(len(own), number, np.int32)
        parts.append(Regions(scene, own, overlap, crowd.boxes[each.argmax(1)]))
    return Regions(*map(np.concatenate, zip(*parts, strict=True)))


def warped(
    canvases: Sequence[Float[np.ndarray, "h w"]], regions: Regions, context: int
) -> Float[np.ndarray, "n 32 32 1"]:
    """Every region's pixels, stretched to a square whatever its shape, in half precision.

    context: so many pixels of the square, on each side, show what lies around the box; outside the
    scene is zero, its ground.
    """
    result = np.empty((len(regions.scene), SIZE, SIZE, 1), np.float16)
    for number, canvas in enumerate(canvases):
        (rows,) = np.nonzero(regions.scene == number)
        # Filled up with repeats: a new length would be compiled anew.
        filled = np.resize(rows, -(-len(rows) // TOGETHER) * TOGETHER).reshape(-1, TOGETHER)
        for chosen in filled:
            result[chosen, ..., 0] = _warp(canvas, regions.box[chosen], context)
    return result


@partial(jaxcnn.jit, static_argnums=2)
def _warp(
    canvas: Float[Array, "h w"], box: Float[Array, "n 4"], context: int
) -> Float[Array, "n 32 32"]:
    """Linear interpolation; where pixels become fewer, each is the mean of those that it covers."""

    def one(box):
        low = box[:2]
        scale = (SIZE - 2 * context) / (box[2:] - low)
        move = context - low * scale
        resample = partial(jax.image.scale_and_translate, method="linear", antialias=True)
        return resample(canvas, (SIZE, SIZE), (0, 1), scale[::-1], move[::-1])

    return jax.vmap(one)(box).astype(jnp.float16)


def offsets(
    box: Float[np.ndarray, "n 4"], true: Float[np.ndarray, "n 4"]
) -> Float[np.ndarray, "n 4"]:
    """How the middle moves, in widths and heights of the box, and the logarithms of its growth."""
    (middle, size), (true_middle, true_size) = (
        ((each[:, :2] + each[:, 2:]) / 2, each[:, 2:] - each[:, :2]) for each in (box, true)
    )
    return np.concatenate([(true_middle - middle) / size, np.log(true_size / size)], 1)


def moved(box: Float[np.ndarray, "n 4"], by: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """The box with these offsets: moved(box, offsets(box, true)) = true."""
    size = box[:, 2:] - box[:, :2]
    middle = (box[:, :2] + box[:, 2:]) / 2 + by[:, :2] * size
    half = size * np.exp(by[:, 2:]) / 2
    return np.concatenate([middle - half, middle + half], 1)


def ridge(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"], strength: float
) -> Callable[[Float[np.ndarray, "m d"]], Float[np.ndarray, "m k"]]:
    """The function x ↦ (x − x̄) w + ȳ with the least Σ |y − ŷ|² + strength · n · |w|²."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    w = np.linalg.solve(x.T @ x + strength * len(x) * np.eye(x.shape[1]), x.T @ y)
    return lambda x: (x - x_mean) @ w + y_mean


def suppressed(
    box: Float[np.ndarray, "n 4"], score: Float[np.ndarray, " n"], most: float
) -> Int[np.ndarray, " k"]:
    """Which boxes stay, the best first, when none may overlap a better one by more than `most`."""
    order = np.argsort(-score, kind="stable")
    stay = []
    while len(order):
        best, rest = order[0], order[1:]
        stay.append(best)
        order = rest[intersection_over_union(box[best], box[rest]) <= most]
    return np.array(stay, np.int64)


class Detections(NamedTuple):
    """What is said to be where, in many scenes; row: of which region."""

    row: Int[np.ndarray, " n"]
    scene: Int[np.ndarray, " n"]
    label: Int[np.ndarray, " n"]
    score: Float[np.ndarray, " n"]
    box: Float[np.ndarray, "n 4"]


def detected(
    regions: Regions, scores: Float[np.ndarray, "n classes"], least: float, most: float
) -> Detections:
    """Class by class and scene by scene, the regions with at least this score that stay."""
    ends = np.searchsorted(regions.scene, np.arange(regions.scene.max() + 2))
    rows, labels = [], []
    for start, end in pairwise(ends):
        for label, score in enumerate(scores[start:end].T):
            (sure,) = np.nonzero(score >= least)
            stay = start + sure[suppressed(regions.box[start + sure], score[sure], most)]
            rows.append(stay)
            labels.append(np.full(len(stay), label))
    row, label = np.concatenate(rows), np.concatenate(labels)
    return Detections(row, regions.scene[row], label, scores[row, label], regions.box[row])


def recall(crowds: Sequence[Crowd], regions: Regions, least: float) -> float:
    """The share of digits that some region overlaps so much."""
    found = [
        intersection_over_union(crowd.boxes[:, None], regions.box[regions.scene == number][None])
        for number, crowd in enumerate(crowds)
    ]
    return float(np.mean(np.concatenate([each.max(1, initial=0) >= least for each in found])))


def hits(
    found: Detections, crowds: Sequence[Crowd], least: float
) -> tuple[Bool[np.ndarray, " n"], list[Bool[np.ndarray, " k"]]]:
    """Which detections are right, and which digits of each scene are found.

    A detection is right if the digit of its class that it overlaps most is overlapped so much, and
    was not found by a surer one.
    """
    right = np.zeros(len(found.score), bool)
    seen = [np.zeros(len(crowd.labels), bool) for crowd in crowds]
    for i in np.argsort(-found.score, kind="stable"):
        scene = int(found.scene[i])
        crowd, own = crowds[scene], seen[scene]
        same = crowd.labels == found.label[i]
        overlap = np.where(same, intersection_over_union(found.box[i], crowd.boxes), 0)
        best = overlap.argmax()
        if overlap[best] >= least and not own[best]:
            right[i] = own[best] = True
    return right, seen


def average_precisions(
    found: Detections, crowds: Sequence[Crowd], classes: int, least: float = 0.5
) -> Float[np.ndarray, " classes"]:
    """Of each class the area under precision over recall, as PASCAL VOC has it since 2010."""
    right, _ = hits(found, crowds, least)
    count = np.bincount(np.concatenate([crowd.labels for crowd in crowds]), minlength=classes)
    own = [np.flatnonzero(found.label == label) for label in range(classes)]
    each = zip(own, count.tolist(), strict=True)
    return np.array([area(found.score[rows], right[rows], n) for rows, n in each])


def area(score: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], count: int) -> float:
    """∫ p(r) dr, p(r) the best precision at any recall of r or more; count: of what is there.

    Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge", as of 2010.
    """
    if count == 0:
        return float("nan")
    right = right[np.argsort(-score, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[right].sum() / count)
