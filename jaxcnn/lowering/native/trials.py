"""What kernels must compute before they are used: small maps, written as loops."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.lowering.native.problem import Rows, Sizes


class Trial(NamedTuple):
    """Sizes at which kernels of some maps are tried."""

    maps: tuple[str, ...]
    problem: Any


CONVOLUTIONS = "correlation", "gradient"
POOLINGS = "maximum", "switches", "scatter", "spread"
ROW_NORMS = "row norm", "row norm gradient"
ONES, PADS = (1, 1, 1), (0, 1, 1)
TRIALS = (
    # Padding, a stride, channels that fill no vector.
    Trial(
        CONVOLUTIONS,
        Sizes(2, (1, 5, 6), (1, 3, 6), (1, 3, 3), (1, 2, 1), PADS, ONES, ONES, 1, 3, 19, 32),
    ),
    # Groups, several in a vector.
    Trial(
        CONVOLUTIONS,
        Sizes(2, (1, 4, 5), (1, 4, 5), (1, 3, 3), ONES, PADS, ONES, ONES, 8, 8, 8, 32),
    ),
    # Windows that overlap and reach into the padding; windows that tile the map but for a
    # remainder.
    Trial(
        POOLINGS,
        Sizes(3, (1, 5, 6), (1, 3, 6), (1, 3, 3), (1, 2, 1), PADS, ONES, ONES, 1, 19, 19, 32),
    ),
    Trial(
        POOLINGS,
        Sizes(
            1, (1, 5, 4), (1, 2, 2), (1, 2, 2), (1, 2, 2), (0, 0, 0), ONES, ONES, 1, 81, 81, 32
        ),
    ),
    Trial(ROW_NORMS, Rows(7, 83, 32, 1e-5)),
)  # fmt: skip


def example(map: str, problem: Any) -> tuple[list[Any], list[Any]]:
    """Operands, and what the map of them is."""
    if map in ROW_NORMS:
        return _rows(map, problem)
    n, d = problem.images, problem.d
    numbers = np.random.default_rng(0)

    def whole(*shape: int) -> Any:
        return numbers.integers(-4, 5, shape).astype(np.float32)

    x, delta = whole(n, *problem.input, problem.c), whole(n, *problem.output, d)
    if map in CONVOLUTIONS:
        taps = whole(*problem.window, problem.c // problem.groups, d)
        return _convolved(map, problem, x, taps, delta)
    best = np.full_like(delta, -np.inf)
    switches = np.zeros(delta.shape, np.uint8)
    for place, number, at in _taps(problem):
        here, there = (slice(None), *place), (slice(None), *at)
        switches[here] = np.where(x[there] > best[here], number, switches[here])
        best[here] = np.maximum(best[here], x[there])
    scattered, spread = np.zeros_like(x), np.zeros_like(x)
    for place, number, at in _taps(problem):
        here, there = (slice(None), *place), (slice(None), *at)
        scattered[there] += np.where(switches[here] == number, delta[here], 0)
        spread[there] += delta[here]
    return {
        "maximum": ([x], [best]), "switches": ([x], [best, switches]),
        "scatter": ([delta, switches], [scattered]), "spread": ([delta], [spread]),
    }[map]  # fmt: skip


def _taps(problem: Sizes) -> Iterator[tuple[Any, int, Any]]:
    """Where a window meets the map: the window, the number of a tap, and where that lies."""
    taps = list(enumerate(np.ndindex(*problem.window)))
    for place, (number, tap) in product(np.ndindex(*problem.output), taps):
        at = np.multiply(place, problem.stride) + np.multiply(tap, problem.dilation) - problem.low
        if (at >= 0).all() and (at < problem.input).all():
            yield place, number, at


def _convolved(map: str, problem: Sizes, x: Any, taps: Any, delta: Any) -> tuple[list, list]:
    n, groups, d = problem.images, problem.groups, problem.d // problem.groups
    y, gradient = np.zeros_like(delta), np.zeros_like(taps)
    for place, number, at in _taps(problem):
        tap = np.unravel_index(number, problem.window)
        read = x[(slice(None), *at)].reshape(n, groups, -1)
        to = delta[(slice(None), *place)].reshape(n, groups, d)
        kernel = taps[tap].reshape(-1, groups, d)
        y[(slice(None), *place)] += np.einsum("ngc,cgd->ngd", read, kernel).reshape(n, -1)
        gradient[tap] += np.einsum("ngc,ngd->cgd", read, to).reshape(-1, problem.d)
    return ([x, delta], [gradient]) if map == "gradient" else ([x, taps], [y])


def _rows(map: str, rows: Rows) -> tuple[list, list]:
    numbers, n = np.random.default_rng(0), rows.images
    x, delta = (numbers.uniform(1, 2, (n, rows.c)).astype(np.float32) for _ in range(2))
    scale, bias = (numbers.uniform(1, 2, rows.c).astype(np.float32) for _ in range(2))
    mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    p = 1 / np.sqrt(variance + np.float32(rows.epsilon))
    normalised, g = x * p - mean * p, delta * scale
    if map == "row norm":  # all numbers are near the unit 1
        statistics = [mean.ravel(), variance.ravel(), np.ones_like(mean.ravel())]
        return [x, scale, bias], [normalised * scale + bias, *statistics]
    s, t = mean + 1, mean - 1
    shift = s - p * g.mean(1, keepdims=True)
    slope = t - p * (g * normalised).mean(1, keepdims=True)
    of_rows = [a.ravel() for a in (p, mean * p, s, t)]
    results = [p * g + shift + normalised * slope, (delta * normalised).sum(0), delta.sum(0)]
    return [x, delta, *of_rows, scale], results
