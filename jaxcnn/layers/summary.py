"""The summary: what a network looks like, without running it."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxcnn import check
from jaxcnn.layers.base import SAME_PLACE, Layer, Leaf, Tree, Window, named
from jaxcnn.layers.combinators import Branches, Combinator, Serial
from jaxcnn.layers.conv_variants import ConvTranspose


class Row(NamedTuple):
    """One line of the summary: the receptive field is None where an output sees the whole input.

    Multiply-adds are those of products with weights, for one example: every weight counts once for
    each place at which it is used, padding included. Of other operations none are counted.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    receptive_field: tuple[int, ...] | None
    multiply_adds: int


# Parameters with which a layer multiplies what it is given.
_WEIGHTS = ("kernel", "weights", "weight")

# The windows between the input and an element; None: it sees everything.
Passed = tuple[Window, ...] | None


def rows(net: Layer, input_shape: Sequence[int]) -> list[Row]:
    """Name, kind, output shape, parameters, receptive field and multiply-adds of every layer.

    The receptive field is followed back from one output: r neighbours see (r − 1)·stride + extent
    elements of the layer below. Paddings do not count, and windows that differ, as those behind an
    upsampling, count with the most that they can see. Where branches meet, the widest counts.

    Raises:
        TypeError: net is no layer, or input_shape no sequence of integers.
        ValueError: a layer does not fit the shape that reaches it; a note names the layer.
    """
    return _rows("rows", net, input_shape)


def _rows(op: str, net: Any, input_shape: Any) -> list[Row]:
    if not isinstance(net, Layer):
        raise TypeError(f"{op}: net must be a layer of jaxcnn.layers, got {check.shown(net)}")
    shape = check.integers(op, "input_shape", input_shape)
    found: list[Row] = []
    _walk(net, "", shape, (), len(shape) - 1, found)
    return found


def _walk(
    net: Layer, path: str, shape: tuple[int, ...], passed: Passed, axes: int, found: list[Row]
) -> tuple[Any, Passed]:
    """Append the rows of a network; return the shape of its output and the windows on the way."""
    match net:
        case Leaf():
            with named(path):
                window, before = net.window(shape), shape
                params, shape = _abstract(net, shape)
            if window != SAME_PLACE:
                passed = None if window is None or passed is None else (*passed, window)
            axes = _axes(axes, shape, passed)
            count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
            products = _multiply_adds(net, params, before, shape)
            seen = _seen(passed, axes)
            found.append(Row(path or net.kind, net.kind, shape, count, seen, products))
            return shape, passed
        case Serial(children):
            for name, layer in children:
                shape, passed = _walk(layer, _join(path, name), shape, passed, axes, found)
                axes = _axes(axes, shape, passed)
            return shape, passed
        case Branches(children):
            ways = [
                _walk(layer, _join(path, name), shape, passed, axes, found)[1]
                for name, layer in children
            ]
            with named(path):
                _, shape = _abstract(net, shape)
            return shape, _widest(ways, axes)
    raise TypeError(f"summary: net must be a layer of jaxcnn.layers, got {check.shown(net)}")


def _multiply_adds(
    layer: Leaf, params: Tree, before: tuple[int, ...], after: tuple[int, ...]
) -> int:
    """A convolution's adjoint uses its weights at each place of its input, others of the output."""
    places = before if isinstance(layer, ConvTranspose) else after
    sizes = [math.prod(params[name].shape) for name in _WEIGHTS if name in params]
    return math.prod(places[:-1]) * sum(sizes)


def _axes(axes: int, shape: tuple[int, ...], passed: Passed) -> int:
    """The axes of space; before any window, an embedding turns the axis of its ids into one."""
    return max(axes, len(shape) - 1) if passed == () else axes


def _seen(passed: Passed, axes: int) -> tuple[int, ...] | None:
    """How much of the input one output sees through these windows, the first one first."""
    if passed is None:
        return None
    seen = (1,) * axes
    for window in reversed(passed):
        extent, stride = (w if isinstance(w, Sequence) else (w,) * axes for w in window)
        pairs = zip(seen, extent, stride, strict=True)
        seen = tuple(math.ceil((r - 1) * s + e) for r, e, s in pairs)
    return seen


def _widest(ways: Sequence[Passed], axes: int) -> Passed:
    fields = [_seen(way, axes) for way in ways]
    return None if None in fields else ways[fields.index(max(f for f in fields if f is not None))]


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


class Summary(str):
    """The table as text; in a notebook it shows as one."""

    cells: list[tuple[str, ...]]

    def _repr_html_(self) -> str:
        return _html(self.cells)


def summary(net: Layer, input_shape: Sequence[int]) -> Summary:
    """A table for people, in notebooks too: what `rows` finds, and the totals below.

    Raises:
        TypeError, ValueError: as `rows` does.
    """
    table = _rows("summary", net, input_shape)
    cells = [_HEAD, ("input", "", _times(input_shape), "", "", "")]
    for row in table:
        seen = "whole input" if row.receptive_field is None else _times(row.receptive_field)
        counts = (f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds))
        cells.append((row.name, row.kind, _times(row.output_shape), *counts, seen))
    totals = (sum(row.parameters for row in table), sum(row.multiply_adds for row in table))
    cells.append(("total", "", "", *(f"{n:,}" for n in totals), ""))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    text = Summary("\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]]))
    text.cells = cells
    return text


_HEAD = ("layer", "operation", "output shape", "parameters", "multiply-adds", "receptive field")
_NUMBERS = (3, 4)


def outline(net: Layer) -> str:
    """The layers with their settings as a table; shapes need that of an input: `summary`."""
    leaves = [(path or "", repr(leaf)) for path, leaf in _leaves(net, "")]
    return _html([("layer", "settings"), *leaves, ("shapes", "layers.summary(net, input_shape)")])


def _leaves(net: Layer, path: str) -> Iterable[tuple[str, Layer]]:
    if isinstance(net, Combinator):
        for name, layer in net.children:
            yield from _leaves(layer, _join(path, name))
    else:
        yield path, net


def _html(cells: Sequence[Sequence[str]]) -> str:
    """A table of which the first line is the head and the last one the foot."""
    sides = ["right" if i in _NUMBERS else "left" for i in range(len(_HEAD))]
    lines = [
        "".join(
            f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>'
            for cell, side in zip(line, sides, strict=False)
        )
        for tag, line in zip(("th", *("td",) * (len(cells) - 2), "th"), cells, strict=True)
    ]
    head, *body, foot = (f"<tr>{line}</tr>" for line in lines)
    return (
        f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody><tfoot>{foot}</tfoot></table>"
    )


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
