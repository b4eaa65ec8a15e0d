"""What an element of δ is made of: the elements of δ that the layers which read it send back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.looking.layers import Looked, Stage
from jaxcnn.layers import Branches, Serial

INPUT = "input"


class Reader(NamedTuple):
    """A layer that reads an output; of what joins branches, the branch as which."""

    stage: Stage
    branch: str = ""


class Term(NamedTuple):
    """One of the products that add up: the element `index` of δ at `layer`, and ∂y/∂x there."""

    layer: str
    index: int
    delta: float
    weight: float


def readers(whole: Stage) -> dict[str, list[Reader]]:
    """Of every layer, and of the image, what reads its output."""
    found = {INPUT: [Reader(stage) for stage in _first(whole)]}

    def within(stage: Stage, after: list[Reader]) -> None:
        children = stage.children()
        if isinstance(stage.layer, Serial):
            for child, following in pairwise(children):
                within(child, [Reader(each) for each in _first(following)])
            within(children[-1], after)
            return
        found[stage.name] = after
        for child in children:
            within(child, [Reader(stage, child.name)])

    within(whole, [])
    return found


def _first(stage: Stage) -> Iterator[Stage]:
    """The leaves that read a stage's input."""
    children = stage.children()
    if not children:
        yield stage
    for child in children[:1] if isinstance(stage.layer, Serial) else children:
        yield from _first(child)


def terms(readers: list[Reader], looked: Looked, x: Array, index: int) -> list[Term]:
    """δ_i = Σ δ′_o ∂y_o/∂x_i over the outputs o of all that read x: its terms, but for w = 0."""
    one = jnp.zeros(x.size, x.dtype).at[index].set(1).reshape(x.shape)
    found = []
    for reader in readers:
        name = reader.stage.name
        weights = np.ravel(_weights(reader, looked, x, one))
        deltas = np.ravel(looked.deltas[name])
        found += [
            Term(name, int(o), float(deltas[o]), float(weights[o])) for o in np.flatnonzero(weights)
        ]
    return found


def _weights(reader: Reader, looked: Looked, x: Array, one: Array) -> Array:
    """∂y/∂x_i of everything that the reader returns: its tangent along x_i."""
    layer = reader.stage.layer
    if not isinstance(layer, Branches):
        return jax.jvp(reader.stage, (x,), (one,))[1]
    parts = {
        child.name: jnp.zeros_like(looked.outputs[_end(child)]) for child in reader.stage.children()
    }
    return layer.join({**parts, reader.branch: one})


def _end(stage: Stage) -> str:
    """The name under which a stage's output is known."""
    return _end(stage.children()[-1]) if isinstance(stage.layer, Serial) else stage.name
