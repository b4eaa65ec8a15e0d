"""The summary: what a network looks like, without running it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxcnn import check
from jaxcnn.layers.base import SAME_PLACE, Layer, Leaf, Tree, Window, named
from jaxcnn.layers.combinators import Branches, Serial


class Row(NamedTuple):
    """One line of the summary: the receptive field is None where an output sees the whole input."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    receptive_field: tuple[int, ...] | None


class _View(NamedTuple):
    """What an element sees: its receptive field and the distance between those of neighbours."""

    field: tuple[int, ...] | None
    jump: tuple[int, ...]


def rows(net: Layer, input_shape: Sequence[int]) -> list[Row]:
    """Name, kind, output shape, number of parameters and receptive field of every layer.

    The receptive field grows by (extent − 1) · jump, the jump by the stride; paddings do not count.
    Where branches meet, the largest field counts.
    """
    ones = (1,) * (len(input_shape) - 1)
    found: list[Row] = []
    _walk(net, "", tuple(input_shape), _View(ones, ones), found)
    return found


def _walk(
    net: Layer, path: str, shape: tuple[int, ...], view: _View, found: list[Row]
) -> tuple[Any, _View]:
    """Append the rows of a network; return the shape of its output and what an element sees."""
    match net:
        case Leaf():
            with named(path):
                view = _see(net.window(shape), shape, view)
                params, shape = _abstract(net, shape)
            count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
            found.append(Row(path or net.kind, net.kind, shape, count, view.field))
            return shape, view
        case Serial(children):
            for name, layer in children:
                shape, view = _walk(layer, _join(path, name), shape, view, found)
            return shape, view
        case Branches(children):
            views = [
                _walk(layer, _join(path, name), shape, view, found)[1] for name, layer in children
            ]
            fields = [v.field for v in views if v.field is not None]
            largest = None if len(fields) < len(views) else max(fields)
            with named(path):
                _, shape = _abstract(net, shape)
            return shape, _View(largest, views[0].jump)
    raise TypeError(f"summary: net must be a layer of jaxcnn.layers, got {net!r}")


def _see(window: Window | None, shape: tuple[int, ...], view: _View) -> _View:
    if window is None or view.field is None:
        return _View(None, view.jump)
    if window == SAME_PLACE:
        return view
    axes = len(shape) - 1
    extent, stride = (check.per_axis("summary", "window", size, axes) for size in window)
    field = tuple(f + (e - 1) * j for f, e, j in zip(view.field, extent, view.jump, strict=True))
    return _View(field, tuple(j * s for j, s in zip(view.jump, stride, strict=True)))


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def summary(net: Layer, input_shape: Sequence[int]) -> str:
    """A table for people: layer, output shape, parameters, receptive field; the total below.

    Raises:
        ValueError: a layer does not fit the shape that reaches it; a note names the layer.
    """
    table = rows(net, input_shape)
    cells = [("layer", "operation", "output shape", "parameters", "receptive field")]
    cells.append(("input", "", _times(input_shape), "", ""))
    for row in table:
        seen = "whole input" if row.receptive_field is None else _times(row.receptive_field)
        count = f"{row.parameters:,}" if row.parameters else ""
        cells.append((row.name, row.kind, _times(row.output_shape), count, seen))
    cells.append(("total", "", "", f"{sum(row.parameters for row in table):,}", ""))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = [
        "  ".join(
            cell.rjust(width) if column == 3 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _abstract(net: Layer, shape: tuple[int, ...]) -> tuple[Tree, Any]:
    """The shapes of the parameters and of an output, without drawing or computing anything."""
    output = []

    def build(key):
        params, _, output_shape = net._build(key, shape, jnp.float32)
        output.append(output_shape)
        return params

    params = jax.eval_shape(build, jax.random.key(0))
    return params, output[0]


def _times(shape: Sequence[int]) -> str:
    return " × ".join(str(size) for size in shape)
