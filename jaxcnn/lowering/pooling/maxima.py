"""The maxima of windows, and with them the places that hold them.

XLA fuses the comparisons of slices, of the whole map, into one pass: those are taken one axis after
the other.
"""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.pooling.windows import along_axis, combined, on_the_map, tap
from jaxcnn.lowering.problem import Problem
from jaxcnn.lowering.thresholds import FEW_SWITCHES, SMALL_WINDOW
from jaxcnn.sizes import arange, known


def cannot_be_whole(problem: Problem) -> str:
    """Why there is more than one window, or more than the map in it."""
    return "" if problem.geometry.whole else "the window is not the map"


def slower(problem: Problem) -> str:
    """Why XLA's reduction is faster: XLA merges it with the convolution before it.

    That is so where convolutions are slow, as they are by default, and windows are small: without
    it a network's forward pass takes 1.7 times as long.
    """
    if problem.fast or problem.geometry.taps > SMALL_WINDOW:
        return ""
    return "XLA merges so small a reduction with the convolution before it"


def of_the_whole(x: Array, *, problem: Problem) -> Array:
    """One reduction, and no step per tap in the program."""
    del problem
    return x.max(range(1, x.ndim - 1), keepdims=True)


def by_axis(x: Array, *, problem: Problem) -> Array:
    """One axis after the other, each tap a slice: kh + kw comparisons, in loops over channels.

    XLA's own loop compares kh · kw elements, one at a time: it takes up to five times as long for
    3 × 3, and ten to sixty times for windows of 9 × 9 and more.
    """
    geometry = problem.geometry
    for axis in reversed(range(geometry.axes)):
        taps = (tap(x, axis, t, geometry, fill=-jnp.inf) for t in range(geometry.window[axis]))
        x = functools.reduce(lax.max, taps)
    return x


def plain(x: Array, *, problem: Problem) -> Array:
    """XLA's reduction of windows."""
    g = problem.geometry
    return combined(lax.max, -jnp.inf, x, g.window, g.stride, g.dilation, g.padding)


def switches_of_the_whole(x: Array, *, problem: Problem) -> tuple[Array, Array]:
    """One window as large as the map: two reductions, and no step per tap in the program.

    The maximum, then the first place that holds it. Measured on a CPU against XLA's argmax, which
    reduces pairs: half its time on maps of 7 × 7 or 2,000, up to twice its time on 56 × 56.
    """
    axes = range(1, x.ndim - 1)
    best = x.max(axes, keepdims=True)
    held = (x == best) | jnp.isnan(x)
    taps = math.prod(x.shape[1:-1])
    number = arange(taps).astype(np.uint32).reshape(1, *x.shape[1:-1], 1)
    first = jnp.where(held, number, jnp.full(held.shape, taps, jnp.uint32)).min(axes, keepdims=True)
    return best, first.astype(switch_dtype(problem.geometry))


def with_switches(x: Array, *, problem: Problem) -> tuple[Array, Array]:
    """One axis after the other, the last one first: the first maximum of every row of the window,
    then the first row that holds the largest of them, which is the first in row-major order. That
    takes kh + kw comparisons instead of kh · kw.
    """
    geometry = problem.geometry
    best, switches = x, jnp.zeros((), switch_dtype(geometry))
    taps_below = 1
    for axis in reversed(range(geometry.axes)):
        best, switches = _max_along(best, switches, axis, geometry, taps_below)
        taps_below *= geometry.window[axis]
    return best, switches


def _max_along(
    x: Array, switches: Array, axis: int, geometry: Geometry, taps_below: int
) -> tuple[Array, Array]:
    """Slide along one axis: the first maximum, and its tap here beside those along later axes."""

    def at(t: int) -> tuple[Array, Array, np.ndarray | Array]:
        part = tap(x, axis, t, geometry, fill=-jnp.inf)
        below = switches if switches.ndim == 0 else tap(switches, axis, t, geometry, fill=0)
        number = below + jnp.array(t * taps_below, switches.dtype)
        return part, number, along_axis(on_the_map(geometry, axis, t), axis, geometry)

    best, number, seen = at(0)
    found = jnp.broadcast_to(number, best.shape)
    for t in range(1, geometry.window[axis]):
        part, number, valid = at(t)
        # A NaN is the maximum, as in JAX and PyTorch, and the first NaN stays. A padded position
        # is never chosen, even where everything else in the window is −∞ as well.
        better = (part > best) | (jnp.isnan(part) & ~jnp.isnan(best))
        if not (isinstance(valid, np.ndarray) and (valid <= seen).all()):
            better |= jnp.broadcast_to(valid & ~seen, better.shape)
            seen = seen | valid
        best = jnp.where(better, part, best)
        found = jnp.where(better, number, found)
    return best, found


def cannot_step(problem: Problem) -> str:
    """Why there is only one axis to slide along."""
    return "" if len(axis_steps(problem.geometry)) > 1 else "the window slides along one axis"


def slower_in_steps(problem: Problem) -> str:
    """Why switches for each axis are no gain."""
    if problem.geometry.tiling:
        return "the windows tile the map"
    taps = problem.geometry.taps
    return f"{taps} taps are no more than {FEW_SWITCHES}" if taps <= FEW_SWITCHES else ""


def steps_by_axis(x: Array, *, problem: Problem) -> tuple[Geometry, ...]:
    """The maxima of rows, then those of columns of them: the first maximum is the same.

    Each has switches of its own, by which a gradient goes back in kh + kw comparisons. They take as
    many bytes as the map has numbers, the last ones as many as the result has.
    """
    del x
    return axis_steps(problem.geometry)


def axis_steps(geometry: Geometry) -> tuple[Geometry, ...]:
    """The same windows, one axis after the other, the last one first."""
    steps, size = [], geometry.input
    for axis in reversed(range(geometry.axes)):
        if (step := _one_axis(axis, geometry, size)) is not None:
            steps.append(step)
            size = step.output
    return tuple(steps)


def one_step(x: Array, *, problem: Problem) -> tuple[Geometry, ...]:
    """The windows as they are."""
    del x
    return (problem.geometry,)


def _one_axis(axis: int, g: Geometry, size: tuple[int, ...]) -> Geometry | None:
    """Windows of the same width, one element high; None if they change nothing."""

    def only(values: tuple[Any, ...], other: Any) -> tuple[Any, ...]:
        return tuple(v if a == axis else other for a, v in enumerate(values))

    step = g.changed(
        input=size,
        window=only(g.window, 1),
        stride=only(g.stride, 1),
        padding=only(g.padding, (0, 0)),
        dilation=only(g.dilation, 1),
        overhang=(),
    )
    still = step.window[axis] == step.stride[axis] == 1 and step.padding[axis] == (0, 0)
    return None if still else step


def switch_dtype(geometry: Geometry) -> jnp.dtype:
    """The smallest unsigned dtype that can number the taps of a window."""
    if not known(geometry.taps):
        return jnp.dtype(jnp.uint32)
    for dtype in (jnp.uint8, jnp.uint16, jnp.uint32):
        if geometry.taps - 1 <= jnp.iinfo(dtype).max:
            return jnp.dtype(dtype)
    raise ValueError(f"max_pool: window must have fewer than 2^32 elements, got {geometry.window}")
