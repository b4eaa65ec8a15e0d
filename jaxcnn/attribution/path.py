"""An integral of gradients along a straight line, which is divided where the network bends.

Along a line a network of rectifiers and maxima is made of straight pieces, and on each of them the
gradients are known exactly; only a part in which it bends is wrong, and by how much is known too:
the fundamental theorem says what its sum must be. Equal steps are off by 1/steps. Here the part
that is most wrong is divided, at the place where the tangents at its two points meet: for one bend
that is the bend itself, and both pieces are right at once.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.attribution.target import Score

AT_ONCE = 16
"""So many parts of every example are divided in one call."""
GAUSS = 0.5 - 0.5 / math.sqrt(3)
"""Where in a part its gradients are taken: here, and as far from its other end."""
_EVALUATED = 7  # gradients and values for a part that is divided


class Parts(NamedTuple):
    """Parts of the way from 0 to 1, a row for each and a column for each example."""

    left: np.ndarray
    right: np.ndarray
    at_left: np.ndarray
    """The score there."""
    at_right: np.ndarray
    error: np.ndarray
    bend: np.ndarray
    """Where it is to be divided."""


def complete(
    score: Score, x: Array, start: Array, tolerance: float, limit: int
) -> tuple[Array, float]:
    """(x − x₀) • ∫ ∂u/∂x and how much may be missing from Σ, after about `limit` gradients at most.

    The errors of all parts, without their signs, sum up to `tolerance` at most unless it stops.
    """
    n = len(x)

    @jax.jit
    def first():
        zero, one = jnp.zeros((1, n), x.dtype), jnp.ones((1, n), x.dtype)
        inside = _inside(score, x, start, zero, one)
        return (x - start) * inside[0].sum(0), score(start)[None], score(x)[None], *inside[1:]

    @jax.jit
    def divided(left, bend, right):
        """What becomes of the integral, the score at the bend, and what is in both halves."""
        old = _inside(score, x, start, left, right)[0]
        one, two = _inside(score, x, start, left, bend), _inside(score, x, start, bend, right)
        at_bend = jax.vmap(lambda a: score(_at(x, start, a)))(bend)
        return (x - start) * (one[0] + two[0] - old).sum(0), at_bend, one[1:], two[1:]

    total, at_start, at_end, *inside = first()
    zero, one = np.zeros((1, n)), np.ones((1, n))
    parts = _judged(zero, one, np.asarray(at_start), np.asarray(at_end), *map(np.asarray, inside))
    for _ in range(limit // (_EVALUATED * AT_ONCE)):
        if np.abs(parts.error).sum(0).max() <= tolerance:
            break
        parts, worst = _worst(parts)
        places = (jnp.asarray(a, x.dtype) for a in (worst.left, worst.bend, worst.right))
        change, at_bend, *halves = divided(*places)
        total, middle = total + change, np.asarray(at_bend)
        one, two = ([np.asarray(a) for a in half] for half in halves)
        parts = _joined(
            parts,
            _judged(worst.left, worst.bend, worst.at_left, middle, *one),
            _judged(worst.bend, worst.right, middle, worst.at_right, *two),
        )
    return total, float(np.abs(parts.error).sum(0).max())


def _at(x: Array, start: Array, share: Array) -> Array:
    return start + share.reshape(-1, *(1,) * (x.ndim - 1)) * (x - start)


def _inside(score: Score, x: Array, start: Array, left: Array, right: Array) -> Any:
    """∫ ∂u/∂x over each part, by two points; the score and its slope at either of them."""

    def both(left: Array, right: Array) -> Any:
        found = []
        for share in (GAUSS, 1 - GAUSS):
            value, pull = jax.vjp(score, _at(x, start, left + share * (right - left)))
            (gradient,) = pull(jnp.ones_like(value))
            slope = (gradient * (x - start)).reshape(len(x), -1).sum(1)
            found.append((gradient, value, slope))
        (a, value_a, slope_a), (b, value_b, slope_b) = found
        width = (right - left).reshape(-1, *(1,) * (x.ndim - 1))
        return width * (a + b) / 2, value_a, slope_a, value_b, slope_b

    return jax.vmap(both)(left, right)


def _judged(left, right, at_left, at_right, value_a, slope_a, value_b, slope_b) -> Parts:
    """By how much the sum over each part is wrong, and where it should be divided."""
    width = right - left
    whole = width * (slope_a + slope_b) / 2
    error = np.where(width > 0, whole - (at_right - at_left), 0)
    a, b = left + GAUSS * width, right - GAUSS * width
    turn = slope_b - slope_a
    with np.errstate(divide="ignore", invalid="ignore"):
        meet = a + (value_b - value_a - slope_b * (b - a)) / -turn
    # Where the two tangents are one, it bends before the first point or behind the second.
    missed = np.abs(at_left + slope_a * (a - left) - value_a)
    outside = np.where(missed > np.abs(at_right - slope_b * (right - b) - value_b), a, b)
    inside = (meet > left + 1e-3 * width) & (meet < right - 1e-3 * width)
    return Parts(left, right, at_left, at_right, error, np.where(inside, meet, outside))


def _worst(parts: Parts) -> tuple[Parts, Parts]:
    """All other parts, and those of every example that are most wrong."""
    order = np.argsort(-np.abs(parts.error), axis=0)
    missing = AT_ONCE - len(order)
    if missing > 0:  # parts without length, that every call may have as many
        parts = _joined(parts, Parts(*(np.zeros((missing, a.shape[1])) for a in parts)))
        order = np.argsort(-np.abs(parts.error), axis=0)
    taken = Parts(*(np.take_along_axis(a, order[:AT_ONCE], 0) for a in parts))
    rest = Parts(*(np.take_along_axis(a, order[AT_ONCE:], 0) for a in parts))
    return rest, taken


def _joined(*several: Parts) -> Parts:
    return Parts(*(np.concatenate(each) for each in zip(*several, strict=True)))
