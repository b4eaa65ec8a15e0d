"""Maps over the windows of an adaptive pooling, which differ in size and may overlap.

Along every axis the windows are intervals that move forward, and so are the windows that hold an
element. Both directions are therefore one gather of short rows and one reduction: no scatter.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import AdaptiveGeometry
from jaxcnn.lowering.precision import widen


def avg(x: Array, geometry: AdaptiveGeometry) -> Array:
    """The average of every window: axis by axis, since a window is a product of intervals."""
    y = widen(x)
    for axis in range(len(geometry.input)):
        windows = geometry.windows(axis)
        y = _interval_sums(y, axis, windows) * _per_window(
            [1 / (b - a) for a, b in windows], axis, y
        )
    return y.astype(x.dtype)


def avg_input_grad(delta: Array, geometry: AdaptiveGeometry) -> Array:
    """To every element its share of every window that holds it: the transpose of `avg`."""
    x = widen(delta)
    for axis in range(len(geometry.input)):
        share = x * _per_window([1 / (b - a) for a, b in geometry.windows(axis)], axis, x)
        x = _interval_sums(share, axis, geometry.reached_by(axis))
    return x.astype(delta.dtype)


def max_with_positions(x: Array, geometry: AdaptiveGeometry) -> tuple[Array, Array]:
    """The maximum of every window and its place on the map, in row-major order; the first one wins.

    One axis after the other, the last one first, as `jaxcnn.lowering.pooling.max_with_switches`.
    """
    best, positions = x, jnp.zeros(x.shape, jnp.int32)
    below = 1
    for axis in reversed(range(len(geometry.input))):
        windows = geometry.windows(axis)
        index, _ = _indices(windows)
        rows = _take(best, axis, index)
        chosen = lax.argmax(rows, axis + 2, jnp.int32)  # a NaN is the maximum
        at = jnp.expand_dims(chosen, axis + 2)
        best = jnp.take_along_axis(rows, at, axis + 2, mode="clip").squeeze(axis + 2)
        # A row repeats its window's last element as a filling, which is never the first maximum.
        place = chosen + _per_window([a for a, _ in windows], axis, chosen)
        if below == 1:  # the axes so far had one element each: all places were 0
            positions = place
        else:
            rows = _take(positions, axis, index)
            positions = jnp.take_along_axis(rows, at, axis + 2, mode="clip").squeeze(axis + 2)
            positions = positions + place * below
        below *= geometry.input[axis]
    return best, positions


def gather_at_positions(x: Array, positions: Array) -> Array:
    """The elements of the map at the given places."""
    n, c = x.shape[0], x.shape[-1]
    places = positions.reshape(n, -1, c)
    y = jnp.take_along_axis(x.reshape(n, -1, c), places, 1, mode="clip")
    return y.reshape(positions.shape)


def scatter_at_positions(delta: Array, positions: Array, geometry: AdaptiveGeometry) -> Array:
    """Every δ at its place on the map; an element gets those of the windows that hold it."""
    axes = len(geometry.input)
    shares, places = widen(delta), positions
    for axis in reversed(range(axes)):
        index, inside = _indices(geometry.reached_by(axis))
        shares, places = _take(shares, axis, index), _take(places, axis, index)
        shares = jnp.where(_place(inside, axis, shares.ndim), shares, jnp.zeros_like(shares))
    # n h kh w kw c
    here = np.arange(math.prod(geometry.input), dtype=np.int32).reshape(geometry.input)
    here = np.expand_dims(here, [0, *range(2, 2 * axes + 1, 2), 2 * axes + 1])
    chosen = jnp.where(places == here, shares, jnp.zeros_like(shares))
    return chosen.sum(range(2, 2 * axes + 1, 2)).astype(delta.dtype)


def _indices(intervals: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """p × k: the indices of every interval, its last repeated, and which of them are no filling."""
    longest = max(b - a for a, b in intervals)
    starts, ends = np.array(intervals, np.int32).T[..., None]
    index = starts + np.arange(longest, dtype=np.int32)
    return np.minimum(index, ends - 1), index < ends


def _take(x: Array, axis: int, index: np.ndarray) -> Array:
    """n h w c → n p k w c: rows of elements along a spatial axis."""
    return jnp.take(x, index, axis + 1, mode="clip")


def _place(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """p × k, shaped to broadcast against n p k w c."""
    return np.expand_dims(values, [a for a in range(ndim) if a not in (axis + 1, axis + 2)])


def _interval_sums(x: Array, axis: int, intervals: Sequence[tuple[int, int]]) -> Array:
    """Σ over every interval along a spatial axis."""
    index, inside = _indices(intervals)
    rows = _take(x, axis, index)
    rows = jnp.where(_place(inside, axis, rows.ndim), rows, jnp.zeros_like(rows))
    return rows.sum(axis + 2)


def _per_window(values: Sequence[float], axis: int, like: Array) -> Array:
    """One value per window of a spatial axis, in the dtype of `like`, shaped to broadcast."""
    shape = [1] * like.ndim
    shape[axis + 1] = len(values)
    return jnp.asarray(np.array(values).reshape(shape), like.dtype)
