"""An integral of gradients along a straight line, in pieces that end where the network bends.

Along a line a network of rectifiers and maxima is made of straight pieces. Where the tangents at
two points are one, u is straight in between, and the integral is known exactly. Where they are not,
they meet somewhere, and if there is one bend that is where it is: the next point lies just before
it, and the next one just behind it, and nothing but what is between these two is left, which is
rounding. So an exact integral takes three or four gradients for a bend, whatever the tolerance.
Where u is smooth, as with tanh, a parabola through the slopes at three points is better, and the
fundamental theorem says how wrong it is, as its sum must be the change of u.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxcnn.attribution.target import Score

AT_ONCE = 32
"""So many points of every example are looked at in one call."""
ROUNDING = 256
"""Changes of u by so many units in its last place are no error."""
NEAREST = 4
"""Two places so many units in the last place of 1 apart are as near as can be."""


class Point(NamedTuple):
    """A place on the way from 0 to 1, and there the score, its slope and ∂u/∂x."""

    place: float
    value: float
    slope: float
    gradient: Float[np.ndarray, "..."]


class Piece(NamedTuple):
    """A part of the way. eps: a unit in the last place of 1."""

    left: Point
    right: Point
    eps: float

    @property
    def length(self) -> float:
        """The share of the whole way, whose length is 1."""
        return self.right.place - self.left.place

    @property
    def noise(self) -> float:
        """The largest change of the score that may be rounding."""
        return ROUNDING * self.eps * max(abs(self.left.value), abs(self.right.value))

    @property
    def error(self) -> float:
        """By how much the tangents miss the other end: 0 where it is straight."""
        rise = self.right.value - self.left.value
        return sum(abs(rise - end.slope * self.length) for end in (self.left, self.right))

    @property
    def before(self) -> float:
        """How far from the left end the tangents meet; if not inside, the nearer end."""
        turn = self.left.slope - self.right.slope
        rise = self.right.value - self.left.value
        if turn == 0:
            return self.length / 2
        return min(max((rise - self.right.slope * self.length) / turn, 0.0), self.length)

    @property
    def integral(self) -> Float[np.ndarray, "..."]:
        """∫ ∂u/∂x, if it bends where its tangents meet and nowhere else."""
        before = self.before
        return before * self.left.gradient + (self.length - before) * self.right.gradient

    @property
    def place(self) -> float:
        """Where to look next: just before the bend, or just behind it, or in the middle."""
        turn, before = abs(self.left.slope - self.right.slope), self.before
        nearest = NEAREST * self.eps
        aside = max(self.noise / 8 / turn if turn else 0.0, nearest)
        shift = before - aside if before > 3 * aside else before + aside
        met = 0 < before < self.length and nearest <= shift <= self.length - nearest
        return self.left.place + (shift if met else self.length / 2)

    def straight(self, tolerance: float) -> bool:
        """Whether the piece is as good as straight, or too short to be divided."""
        allowed = max(tolerance * self.length, self.noise)
        return self.error <= allowed or self.length <= 3 * NEAREST * self.eps


def smooth(left: Point, middle: Point, right: Point) -> tuple[Float[np.ndarray, "..."], float]:
    """∫ ∂u/∂x if the slope is a parabola, and how far its sum is from the change of u."""
    length = right.place - left.place
    share = (middle.place - left.place) / length
    if not 0.3 < share < 0.7:
        return np.zeros_like(middle.gradient), np.inf
    ends = 0.5 - 1 / (6 * np.array([share, 1 - share]))
    weights = length * np.array([ends[0], 1 - ends.sum(), ends[1]])
    slopes, gradients = (
        np.stack([getattr(point, name) for point in (left, middle, right)])
        for name in ("slope", "gradient")
    )
    error = abs(weights @ slopes - (right.value - left.value))
    return np.tensordot(weights, gradients, 1), float(error)


def looker(score: Score, x: Array, start: Array) -> Callable[[np.ndarray], list[list[Point]]]:
    """A function from places, k n, to the points there: a list for every example."""
    way = np.asarray(x, np.float64) - np.asarray(start, np.float64)

    @jax.jit
    def look(places: Array) -> tuple[Array, Array]:
        def one(place: Array) -> tuple[Array, Array]:
            share = place.reshape(-1, *(1,) * (x.ndim - 1))
            value, pull = jax.vjp(score, start + share * (x - start))
            return value, pull(jnp.ones_like(value))[0]

        return jax.vmap(one)(places)

    def points(places: np.ndarray) -> list[list[Point]]:
        rounded = jnp.asarray(places, x.dtype)
        each = [np.asarray(a, np.float64) for a in (rounded, *look(rounded))]
        slopes = (each[2] * way).reshape(*places.shape, -1).sum(-1)
        columns = zip(*(a.swapaxes(0, 1) for a in (*each[:2], slopes, each[2])), strict=True)
        return [list(map(Point, *column)) for column in columns]

    return points


def complete(
    score: Score, x: Array, start: Array, tolerance: float, limit: int
) -> tuple[Array, float]:
    """(x − x₀) • ∫ ∂u/∂x, and how far Σ may be from u(x) − u(x₀) for any example.

    Each piece may be wrong by its share of the tolerance. After `limit` gradients for an example it
    stops, and the integral may be less exact than that.
    """
    points, eps = looker(score, x, start), float(jnp.finfo(x.dtype).eps)
    total = np.zeros(x.shape)
    waiting: list[list[Piece]] = [[] for _ in x]

    def take(i: int, left: Point, right: Point) -> None:
        part = Piece(left, right, eps)
        if part.straight(tolerance):
            total[i] += part.integral
        else:
            waiting[i].append(part)

    first = points(np.tile(np.linspace(0, 1, AT_ONCE)[:, None], len(x)))
    for i, each in enumerate(first):
        for left, right in pairwise(each):
            take(i, left, right)
    for _ in range(AT_ONCE, limit, AT_ONCE):
        if not any(waiting):
            break
        # The last ones first, so that few wait at a time: those that wait keep their gradients.
        now = [[each.pop() for _ in range(min(AT_ONCE, len(each)))] for each in waiting]
        places = np.zeros((AT_ONCE, len(x)))
        for column, parts in zip(places.T, now, strict=True):
            column[: len(parts)] = [part.place for part in parts]
        for i, found in enumerate(points(places)):
            for part, middle in zip(now[i], found, strict=False):
                integral, error = smooth(part.left, middle, part.right)
                if error <= tolerance * part.length:
                    total[i] += integral
                else:
                    take(i, part.left, middle)
                    take(i, middle, part.right)
    found = total * (np.asarray(x, np.float64) - np.asarray(start, np.float64))
    missing = [sum(part.error for part in each) for each in waiting]
    wrong = [
        abs(a.sum() - each[-1].value + each[0].value) for a, each in zip(found, first, strict=True)
    ]
    return jnp.asarray(found, x.dtype), max(map(max, zip(missing, wrong, strict=True)), default=0.0)
