"""The layers of a network in order, each with what it holds, and how PyTorch has its numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import check, layers
from jaxcnn.layers import Branches, Layer, Leaf, Serial
from jaxcnn.layers.base import named

# What a module holds: its name there, and ours.
_KERNEL = {"weight": "kernel", "bias": "bias"}
_SCALE = {"weight": "scale", "bias": "bias"}
HELD: dict[type, dict[str, str]] = {
    layers.Conv: _KERNEL,
    layers.TrueConv: _KERNEL,
    layers.DepthwiseConv: _KERNEL,
    layers.ConvTranspose: _KERNEL,
    layers.Dense: {"weight": "weight", "bias": "bias"},
    layers.Embedding: {"weight": "table"},
    layers.PReLU: {"weight": "slope"},
    layers.BatchNorm: {**_SCALE, "running_mean": "mean", "running_var": "variance"},
    layers.LayerNorm: _SCALE,
    layers.GroupNorm: _SCALE,
    layers.InstanceNorm: _SCALE,
    layers.RMSNorm: {"weight": "scale"},
}


class Flat(NamedTuple):
    """How PyTorch orders the elements of maps that were flattened."""

    order: np.ndarray
    """Which of PyTorch's elements each of ours is."""
    maps: tuple[int, ...] | None
    """The shape of the maps in PyTorch; None where several are side by side."""


@dataclass(frozen=True, eq=False)
class Place:
    """A leaf of the network."""

    path: tuple[str, ...]
    layer: Leaf
    flat: Flat | None
    """How its input is ordered, if that was flattened."""
    held: dict[str, tuple[int, ...]]
    """The shapes of its parameters and of its state."""

    @property
    def name(self) -> str:
        """As `layers.rows` has it."""
        return "/".join(self.path) or self.layer.kind

    def wanted(self) -> dict[str, str]:
        """What the module holds: its names, and ours."""
        named = HELD[type(self.layer)]
        return {theirs: mine for theirs, mine in named.items() if mine in self.held}

    def shapes(self, mine: str) -> list[tuple[int, ...]]:
        """Those that our array may have in PyTorch, the usual one first."""
        ours = self.held[mine]
        match self.layer:
            case layers.Dense() if mine == "weight":
                rows, d = ours
                # A dense layer may stand there as a convolution of the whole map.
                maps = self.flat.maps if self.flat is not None else None
                return [(d, rows), (d, rows, 1, 1), *([(d, *maps)] if maps else [])]
            case layers.PReLU(shared=True):
                return [(1,)]
            case layers.Embedding():
                return [ours]
        if mine == "kernel":
            *space, c, d = ours
            return [(d, c, *space)]
        *space, c = ours
        return [(c, *space)]

    def ours(self, mine: str, array: np.ndarray) -> np.ndarray:
        """PyTorch's array in our layout."""
        match self.layer:
            case layers.Dense() if mine == "weight":
                return self._ordered(array.reshape(len(array), -1)).T
            case layers.PReLU(shared=True):
                return array.reshape(())
            case layers.TrueConv() if mine == "kernel":  # ours is turned around
                array = np.flip(array, tuple(range(2, array.ndim)))
            case layers.Embedding() | layers.Dense():
                return array
        if mine == "kernel":
            return np.moveaxis(array, (0, 1), (-1, -2))
        return self._ordered(array) if array.ndim == 1 else np.moveaxis(array, 0, -1)

    def _ordered(self, array: np.ndarray) -> np.ndarray:
        return array if self.flat is None else array[..., self.flat.order]


def places(op: str, net: Layer, shape: Sequence[int]) -> list[Place]:
    """All leaves in order; the body of a block before its shortcut.

    Raises:
        TypeError: a layer has no counterpart in PyTorch whose numbers are ordered alike.
    """
    return list(_walk(op, net, tuple(shape), None, ()))


def _walk(
    op: str, layer: Layer, shape: Any, flat: Flat | None, path: tuple[str, ...]
) -> Iterator[Any]:
    """Yield places; return the shape of the output, and how it is ordered if it is flat."""
    match layer:
        case Serial(children):
            for name, child in children:
                shape, flat = yield from _walk(op, child, shape, flat, (*path, name))
            return shape, flat
        case Branches(children):
            ends = {}
            for name, child in children:
                ends[name] = yield from _walk(op, child, shape, flat, (*path, name))
            if layer.merge == "concatenate":
                return _side_by_side(list(ends.values()))
            if layer.merge == "add":
                return next(iter(ends.values()))
            return {name: end[0] for name, end in ends.items()}, None
    assert isinstance(layer, Leaf)
    with named("/".join(path)):
        held, after = _built(layer, shape)
    place = Place(path, layer, flat, held)
    if not _alike(place, shape, after):
        raise TypeError(
            f"{op}: net must be made of layers whose numbers PyTorch orders alike, "
            f"got {type(layer).__name__} ({place.name})"
        )
    yield place
    if isinstance(layer, layers.Flatten) and len(shape) > 1:
        *space, c = shape
        order = np.moveaxis(np.arange(prod(shape)).reshape(c, *space), 0, -1).ravel()
        flat = Flat(order, (c, *space))
    return after, None if isinstance(layer, layers.Dense) else flat


def _alike(place: Place, shape: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether PyTorch has the layer's numbers, and the order of what comes out is known."""
    if place.held and type(place.layer) not in HELD:
        return False
    if isinstance(place.layer, layers.Unflatten) and len(place.layer.shape) > 1:
        return False
    return place.flat is None or isinstance(place.layer, layers.Dense) or shape == after


def _side_by_side(ends: list[tuple[Any, Flat | None]]) -> tuple[Any, Flat | None]:
    *space, _ = ends[0][0]
    sizes = [shape[-1] for shape, _ in ends]
    if all(flat is None for _, flat in ends):
        return (*space, sum(sizes)), None
    orders = [
        start + (np.arange(size) if flat is None else flat.order)
        for start, size, (_, flat) in zip(np.cumsum([0, *sizes]), sizes, ends, strict=False)
    ]
    return (sum(sizes),), Flat(np.concatenate(orders), None)


def _built(layer: Leaf, shape: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], Any]:
    """The shapes of what the layer holds, and of an example of its output."""
    after = []

    def build(key):
        params, state, output_shape = layer._build(key, shape, jnp.float32)
        after.append(output_shape)
        return {**params, **state}

    made = jax.eval_shape(build, jax.random.key(0))
    return {name: tuple(a.shape) for name, a in made.items()}, after[0]


def check_net(op: str, net: Any, input_shape: Any) -> tuple[int, ...]:
    """The shape, if there are a network and a shape."""
    if not isinstance(net, Layer):
        raise TypeError(f"{op}: net must be a layer of jaxcnn.layers, got {check.shown(net)}")
    return check.integers(op, "input_shape", input_shape)
