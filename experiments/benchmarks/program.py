"""What a peer makes of a row, and the numbers that every peer starts from."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.benchmarks.row import NetworkRow, OperationRow

CLASSES = 10
LEARNING_RATE, MOMENTUM = 1e-4, 0.9  # so small that a thousand steps change no time


@dataclass
class Program:
    """A row, ready to be called."""

    call: Callable[[], Any]
    """Start one call; the result is something to wait for."""
    wait: Callable[[Any], Any]
    """Until that is there."""
    fingerprint: list[float]
    """Norms of what it computes, the same for every peer, whatever its layout."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What is known without a clock: memory, floating-point operations."""
    compile: Callable[[], dict[str, float]] | None = None
    """Compile once more, from scratch: the seconds of each stage."""


def operation_arrays(row: OperationRow) -> tuple[list[np.ndarray], np.ndarray | None]:
    """The arrays to differentiate by, at unit scale, and labels."""
    generator = np.random.default_rng(0)
    arrays: list[np.ndarray] = [
        generator.standard_normal(shape, np.float32) for shape in row.shapes
    ]
    if row.op == "sigmoid_binary_cross_entropy":
        arrays[1] = generator.uniform(size=row.shapes[1]).astype(np.float32)
    labels = None
    if row.classes:
        labels = generator.integers(0, row.classes, row.shapes[0][:-1], np.int32)
    return arrays, labels


def cotangent(shape: Sequence[int]) -> np.ndarray:
    """The gradient at an output of this shape, n first and channels last; of a loss it is one."""
    if not shape:
        return np.ones((), np.float32)
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def images_and_labels(row: NetworkRow) -> tuple[np.ndarray, np.ndarray]:
    """A batch; for a scan as many of them as it has steps."""
    generator = np.random.default_rng(0)
    leading = (row.steps,) if row.steps else ()
    images = generator.standard_normal((*leading, *row.images), np.float32)
    return images, generator.integers(0, CLASSES, (*leading, row.images[0]), np.int32)


def gradient_norms(gradients: Iterable[Any]) -> list[float]:
    """√Σ‖g‖² and Σ‖g‖ over the parameters: the second counts the small ones, too."""
    norms = [norm(gradient) for gradient in gradients]
    return [math.hypot(*norms), sum(norms)]


def norm(array: Any) -> float:
    """√Σa², in float64."""
    return math.sqrt(np.sum(np.square(np.asarray(array, np.float64))))
