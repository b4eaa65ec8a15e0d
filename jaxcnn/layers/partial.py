"""Part of a network: what ends at one of its layers."""

from typing import Any

from jaxcnn import check
from jaxcnn.layers.base import Layer
from jaxcnn.layers.combinators import Branches, Combinator, Serial


def up_to(net: Layer, layer: str) -> Layer:
    """The network that ends with a layer of this one, and reads the same parameters and state.

    Of branches side by side there is only the one in which the layer stands; in training what is
    drawn in it is drawn with another key.

    Args:
        net: a network of `jaxcnn.layers`.
        layer: its name, and before it those of what it stands in: "stage1/residual1/body/conv1".

    Raises:
        TypeError: net is no layer, or layer no text.
        ValueError: there is none of that name; those that there are, are named.
    """
    if not isinstance(net, Layer):
        raise TypeError(f"up_to: net must be a layer of jaxcnn.layers, got {check.shown(net)}")
    if not isinstance(layer, str):
        raise TypeError(f"up_to: layer must be the name of a layer, got {check.shown(layer)}")
    return _up_to(net, layer.split("/"), layer)


def _up_to(net: Any, path: list[str], layer: str) -> Layer:
    if not path:
        return net
    name, *below = path
    names = [n for n, _ in net.children] if isinstance(net, Combinator) else []
    if name not in names:
        there = ", ".join(names) or "no layers"
        raise ValueError(f"up_to: layer must name a layer of net, got {layer!r} among {there}")
    position = names.index(name)
    last = (name, _up_to(net.children[position][1], below, layer))
    if isinstance(net, Serial):
        return Serial((*net.children[:position], last))
    return Branches((last,), merge="add")
