"""A network as a page in a browser takes it: what every layer applies, its sizes, its numbers."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from jaxcnn import check
from jaxcnn.geometry import Geometry
from jaxcnn.layers.base import Layer, Leaf, Tree, named
from jaxcnn.layers.combinators import Serial
from jaxcnn.ops.activation import relu_map, sigmoid_map, tanh_map
from jaxcnn.ops.channels import scale_channels_map
from jaxcnn.ops.conv import conv_map
from jaxcnn.ops.dense import dense_map
from jaxcnn.ops.max_pool import max_pool_map
from jaxcnn.ops.shape import flatten_map
from jaxcnn.ops.sum_pool import avg_pool_map, sum_pool_map
from jaxcnn.ops.table_conv import connected, table_conv_map
from jaxcnn.page.formulas import formula_of, kind_of

Arrays = dict[str, np.ndarray]


class Applied(NamedTuple):
    """A layer of the chain: what the page says and computes of it, and its parameters."""

    about: dict[str, Any]
    arrays: Arrays


def described(
    net: Layer, params: Tree, state: Tree, x: Array
) -> tuple[list[Applied], list[np.ndarray]]:
    """Every layer of the chain, and its output for x.

    Raises:
        ValueError: a layer, or something that is set in it, is not among what the page computes.
    """
    found, outputs = [], []
    for name, layer, own, kept in _leaves(net, params, state, ""):
        with named(name):
            applied, y = _applied(name, layer, own, kept, x)
        found.append(applied)
        outputs.append(np.asarray(y))
        x = y
    return found, outputs


def _leaves(
    net: Layer, params: Tree, state: Tree, path: str
) -> Iterator[tuple[str, Leaf, Tree, Tree]]:
    match net:
        case Leaf():
            yield path or net.kind, net, params, state
        case Serial(children):
            for name, layer in children:
                inner = f"{path}/{name}" if path else name
                yield from _leaves(layer, params.get(name, {}), state.get(name, {}), inner)
        case Layer():
            raise ValueError(
                f"page: net must be layers one after the other, "
                f"got {type(net).__name__} in layer {path or 'net'}"
            )
        case _:
            raise TypeError(f"page: net must be a layer of jaxcnn.layers, got {check.shown(net)}")


def _applied(name: str, layer: Leaf, params: Tree, state: Tree, x: Array) -> tuple[Applied, Array]:
    rule, calls = layer.rule_for(False), []

    def kept(*arguments: Any) -> Any:
        calls.append(arguments)
        return rule(*arguments)

    if layer.first(x) is not None:
        raise ValueError(
            f"page: net must pad by zeros alone, "
            f"got {layer.kind} in layer {name}, which shows other things around its maps"
        )
    y, _ = layer.run(params, state, x, key=None, train=False, rule=kept)
    if calls and rule not in _KNOWN:
        known = ", ".join(r.__name__.removesuffix("_map") for r in _KNOWN)
        raise ValueError(
            f"page: net must apply {known} only, "
            f"got {getattr(rule, '__name__', layer.kind)} in layer {name}"
        )
    operation, more, arrays = _KNOWN[rule](*calls[0]) if calls else ("identity", {}, {})
    about = {
        "name": name,
        "kind": kind_of(layer),
        "operation": operation,
        "formula": formula_of(layer),
        "shape": list(y.shape[1:]),
        **more,
    }
    return Applied(about, {key: np.asarray(a) for key, a in arrays.items() if a is not None}), y


# What a rule was applied to: (operation, sizes, arrays) ------------------------------------------

Known = tuple[str, dict[str, Any], dict[str, Any]]


def _conv(x: Array, kernel: Array, bias: Array | None, geometry: Geometry) -> Known:
    return "conv", {"window": _window(geometry)}, {"kernel": kernel, "bias": bias}


def _table_conv(
    x: Array, weights: Array, bias: Array | None, geometry: Geometry, table: Any
) -> Known:
    whole = connected(weights, table, x.shape[-1])
    sizes = {"window": _window(geometry), "table": table}
    return "conv", sizes, {"kernel": whole, "bias": bias}


def _dense(x: Array, weight: Array, bias: Array | None) -> Known:
    return "dense", {}, {"weight": weight, "bias": bias}


def _scale(x: Array, scale: Array, bias: Array | None) -> Known:
    return "scale", {}, {"scale": scale, "bias": bias}


def _max(x: Array, geometry: Geometry) -> Known:
    return "max", {"window": _window(geometry)}, {}


def _sum(x: Array, geometry: Geometry) -> Known:
    return "sum", {"window": _window(geometry), "share": [1.0] * _places(geometry)}, {}


def _avg(x: Array, geometry: Geometry, count_include_pad: bool) -> Known:
    share = [1 / count for count in _counted(geometry, count_include_pad)]
    return "sum", {"window": _window(geometry), "share": share}, {}


def _plain(operation: str) -> Callable[..., Known]:
    return lambda *_: (operation, {}, {})


_KNOWN: dict[Any, Callable[..., Known]] = {
    conv_map: _conv,
    table_conv_map: _table_conv,
    dense_map: _dense,
    scale_channels_map: _scale,
    max_pool_map: _max,
    sum_pool_map: _sum,
    avg_pool_map: _avg,
    flatten_map: _plain("identity"),
    relu_map: _plain("relu"),
    tanh_map: _plain("tanh"),
    sigmoid_map: _plain("sigmoid"),
}


def _window(geometry: Geometry) -> dict[str, Any]:
    """How it slides, along two axes; a signal is a map of one row.

    Raises:
        ValueError: there are three axes, or more.
    """
    if geometry.axes > 2:
        raise ValueError(f"page: net must work on signals or maps, got {geometry.axes} axes")
    rows = 2 - geometry.axes
    return {
        "input": [1] * rows + list(geometry.input),
        "size": [1] * rows + list(geometry.window),
        "output": [1] * rows + list(geometry.output),
        "stride": [1] * rows + list(geometry.stride),
        "low": [0] * rows + [low for low, _ in geometry.padding],
        "dilation": [1] * rows + list(geometry.dilation),
        "between": [1] * rows + list(geometry.input_dilation),
        "groups": geometry.groups,
        "rank": geometry.axes,
    }


def _places(geometry: Geometry) -> int:
    return int(np.prod(geometry.output))


def _counted(geometry: Geometry, padding_too: bool) -> list[int]:
    """Of every window how many elements an average divides by."""
    along = []
    for axis, (low, high) in enumerate(geometry.counted_padding):
        begin, end = (
            (-low, geometry.input[axis] + high) if padding_too else (0, geometry.input[axis])
        )
        taps = np.arange(geometry.window[axis]) * geometry.dilation[axis]
        starts = np.arange(geometry.output[axis])[:, None] * geometry.stride[axis] - low
        along.append(((begin <= starts + taps) & (starts + taps < end)).sum(1))
    return [int(np.prod(counts)) for counts in product(*along)]
