"""The summary: what a network looks like, without running it."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcnn import check
from jaxcnn.layers.base import SAME_PLACE, Layer, Leaf, Tree, named
from jaxcnn.layers.combinators import Serial


class Row(NamedTuple):
    """One line of the summary: the receptive field is None where an output sees the whole input."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    receptive_field: tuple[int, ...] | None


def rows(net: Layer, input_shape: Sequence[int]) -> list[Row]:
    """Name, kind, output shape, number of parameters and receptive field of every layer.

    The receptive field grows by (extent − 1) · jump, the jump by the stride; paddings do not count.
    """
    axes = len(input_shape) - 1
    seen: tuple[int, ...] | None = (1,) * axes
    jump = (1,) * axes
    shape = tuple(input_shape)
    found = []
    for name, leaf in _leaves(net):
        with named(name):
            window = leaf.window(shape)
            params, shape = _abstract(leaf, shape)
        if len(shape) - 1 > axes and seen == (1,) * axes:  # an embedding has added an axis
            axes = len(shape) - 1
            seen = jump = (1,) * axes
        if window is None or seen is None:
            seen = None
        elif window != SAME_PLACE:
            extent, stride = (check.per_axis("summary", "window", w, axes) for w in window)
            seen = tuple(s + (e - 1) * j for s, e, j in zip(seen, extent, jump, strict=True))
            jump = tuple(j * s for j, s in zip(jump, stride, strict=True))
        count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        found.append(Row(name, leaf.kind, shape, count, seen))
    return found


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


def _leaves(net: Layer, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every leaf in order, under its path."""
    match net:
        case Leaf():
            yield prefix or net.kind, net
        case Serial(children):
            for name, layer in children:
                yield from _leaves(layer, f"{prefix}/{name}" if prefix else name)
        case _:
            raise TypeError(f"summary: net must be a layer of jaxcnn.layers, got {net!r}")


def _abstract(net: Layer, shape: tuple[int, ...]) -> tuple[Tree, tuple[int, ...]]:
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
