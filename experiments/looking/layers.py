"""What happens in every layer of a network: outputs and δ.

A network is followed along its spine, where chains are taken apart and branches are one layer; and
layer by layer, where branches are taken apart as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, PyTree

import jaxcnn
from experiments.looking.opened import Opened
from jaxcnn import attribution
from jaxcnn.layers import Branches, Layer, Leaf, Serial
from jaxcnn.layers.combinators import Combinator


class Stage(NamedTuple):
    """A layer, under its name, with what it was trained to."""

    name: str
    layer: Layer
    params: PyTree
    state: PyTree

    def __call__(self, x: Array) -> Array:
        """The layer's output, outside training."""
        return self.layer.apply(self.params, self.state, x)[0]

    def children(self) -> list[Stage]:
        """The layers of which it is made; none of a leaf."""
        if not isinstance(self.layer, Combinator):
            return []
        return [
            Stage(
                f"{self.name}/{name}" if self.name else name,
                layer,
                self.params.get(name, {}),
                self.state.get(name, {}),
            )
            for name, layer in self.layer.children
        ]


class Looked(NamedTuple):
    """Of one image, as arrays of JAX or of NumPy.

    outputs: of every layer. deltas: δ at these outputs. probabilities: the logits' softmax.
    input_delta: δ at the image. saliency: the derivative of the class's logit in the image.
    """

    outputs: dict[str, Any]
    deltas: dict[str, Any]
    probabilities: Any
    input_delta: Any
    saliency: Any


def spine(opened: Opened) -> list[Stage]:
    """The layers one after the other; branches are one of them."""

    def along(stage: Stage) -> Iterator[Stage]:
        if isinstance(stage.layer, Serial):
            for child in stage.children():
                yield from along(child)
        else:
            yield stage

    return list(along(whole(opened)))


def every_layer(opened: Opened) -> list[Stage]:
    """All leaves, and after those of its branches what joins them: a sum, a concatenation."""

    def within(stage: Stage) -> Iterator[Stage]:
        for child in stage.children():
            yield from within(child)
        if not isinstance(stage.layer, Serial):
            yield stage

    return list(within(whole(opened)))


def whole(opened: Opened) -> Stage:
    """The network itself."""
    return Stage("", opened.net, opened.params, opened.state)


def look(opened: Opened, x: Float[Array, "1 h w c"], label: Int[Array, "1"]) -> Looked:
    """Forward, then back from the cross-entropy of that class by `jaxcnn.backprop`."""
    outputs: dict[str, Array] = {}
    logits = _forward(whole(opened), x, outputs)
    back = jaxcnn.backprop(
        opened.net, opened.params, opened.state, x, label, jaxcnn.softmax_cross_entropy, train=False
    )
    deltas = {
        stage.name: _delta(stage.layer, _at(back.deltas, stage.name))
        for stage in every_layer(opened)
    }

    saliency = attribution.saliency(
        opened.net, opened.params, opened.state, x, label, absolute=False
    )
    return Looked(outputs, deltas, jaxcnn.softmax(logits), back.input_delta, saliency)


def _forward(stage: Stage, x: Array, outputs: dict[str, Array]) -> Array:
    """The output; every layer's on the way is put down under its name."""
    if isinstance(stage.layer, Serial):
        for child in stage.children():
            x = _forward(child, x, outputs)
        return x
    if isinstance(stage.layer, Branches):
        names = [name for name, _ in stage.layer.children]
        parts = [_forward(child, x, outputs) for child in stage.children()]
        y = stage.layer.join(dict(zip(names, parts, strict=True)))
    else:
        y = stage(x)
    outputs[stage.name] = y
    return y


def _at(tree: Any, path: str) -> Any:
    for name in path.split("/"):
        tree = tree[name]
    return tree


def _delta(layer: Layer, deltas: Any) -> Array:
    """δ at the output of a layer, from what `jaxcnn.backprop` says of the leaves in it."""
    if isinstance(layer, Leaf):
        return deltas
    assert isinstance(layer, Combinator)
    if isinstance(layer, Serial):
        name, last = layer.children[-1]
        return _delta(last, deltas[name])
    parts = [_delta(child, deltas[name]) for name, child in layer.children]
    joined = isinstance(layer, Branches) and layer.merge == "concatenate"
    return jnp.concatenate(parts, -1) if joined else parts[0]
