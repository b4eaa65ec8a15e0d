"""Combinators: networks made of layers, one after the other or side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn import check
from jaxcnn.layers.base import Layer, Leaf, Rule, Tree, check_pass, named
from jaxcnn.ops.join import concatenate, concatenate_map

Children = tuple[tuple[str, Layer], ...]

# What makes branches, by their merge.
_WORDS = {
    "serial": "serial", "add": "residual", "concatenate": "concatenated", "outputs": "heads",
}  # fmt: skip


@dataclass(frozen=True)
class Combinator(Layer):
    """A layer made of others, each under its name."""

    children: Children

    def __post_init__(self) -> None:
        op = type(self).__name__
        if not isinstance(self.children, tuple) or not self.children:
            raise TypeError(
                f"{op}: children must be a tuple of pairs of a name and a layer, "
                f"got {check.shown(self.children)}"
            )
        for child in self.children:
            if not (
                isinstance(child, tuple)
                and len(child) == 2
                and isinstance(child[0], str)
                and isinstance(child[1], Layer)
            ):
                raise TypeError(
                    f"{op}: children must be pairs of a name and a layer, got {check.shown(child)}"
                )

    def __repr__(self) -> str:
        """As `serial` and the others make it; layers that repeat are said once."""
        word = _WORDS[getattr(self, "merge", "serial")]
        names, layers = zip(*self.children, strict=True)
        usual = [name for name, _ in _numbered(layers)]
        if word == "residual" and names == ("body", "shortcut"):
            usual[0] = "body"
            layers = layers[:1] if isinstance(layers[1], Identity) else layers
        said = [
            ("" if name == other else name, repr(layer))
            for name, other, layer in zip(names, usual, layers, strict=False)
        ]
        parts = []
        for (name, text), same in groupby(said):
            times = len(list(same))
            parts.append(
                f"{name}={text}" if name else f"*[{text}] * {times}" if times > 1 else text
            )
        return f"{word}({', '.join(parts)})"

    def keys(self, key: Any) -> list[Any]:
        """A key of its own for every child; None for each if there is none."""
        count = len(self.children)
        return [None if key is None else jax.random.fold_in(key, i) for i in range(count)]


@dataclass(frozen=True)
class Serial(Combinator):
    """Layers one after the other; made by `serial`."""

    def apply(self, params, state, x, *, key=None, train=False):  # noqa: D102
        check_pass("apply", params, state, key, train)
        states = {}
        for (name, layer), child_key in zip(self.children, self.keys(key), strict=True):
            with named(name):
                x, states[name] = layer.apply(
                    params.get(name, {}), state.get(name, {}), x, key=child_key, train=train
                )
        return x, without_empty(states)

    def _build(self, key, shape, dtype):
        params, states = {}, {}
        for (name, layer), child_key in zip(self.children, self.keys(key), strict=True):
            with named(name):
                params[name], states[name], shape = layer._build(child_key, shape, dtype)
        return without_empty(params), without_empty(states), shape


@dataclass(frozen=True)
class Branches(Combinator):
    """Layers side by side, all reading the same input. What becomes of their outputs is `merge`.

    "add": their sum (`residual`); "concatenate": side by side as channels (`concatenated`);
    "outputs": a dict of them (`heads`).
    """

    merge: str = "outputs"
    rule: Rule = field(default=concatenate_map, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        check.choice("Branches", "merge", self.merge, ("add", "concatenate", "outputs"))
        check.function("Branches", "rule", self.rule)

    def apply(self, params, state, x, *, key=None, train=False):  # noqa: D102
        check_pass("apply", params, state, key, train)
        outputs, states = {}, {}
        for (name, layer), child_key in zip(self.children, self.keys(key), strict=True):
            with named(name):
                outputs[name], states[name] = layer.apply(
                    params.get(name, {}), state.get(name, {}), x, key=child_key, train=train
                )
        return self.join(outputs), without_empty(states)

    def join(self, outputs: dict[str, Any]) -> Any:
        """The output of the whole, from those of the branches."""
        match self.merge:
            case "outputs":
                return outputs
            case "concatenate":
                return concatenate(tuple(outputs.values()), rule=self.rule)
        first, *rest = outputs.values()
        for branch in rest:
            if branch.shape != first.shape:
                raise ValueError(
                    "residual: branches must have outputs of one shape, "
                    f"got {first.shape} and {branch.shape}"
                )
            first = first + branch
        return first

    def _build(self, key, shape, dtype):
        params, states, shapes = {}, {}, {}
        for (name, layer), child_key in zip(self.children, self.keys(key), strict=True):
            with named(name):
                params[name], states[name], shapes[name] = layer._build(child_key, shape, dtype)
        if self.merge == "outputs":
            return without_empty(params), without_empty(states), shapes
        outputs = {
            name: jax.ShapeDtypeStruct((1, *size), jnp.float32) for name, size in shapes.items()
        }
        joined = jax.eval_shape(self.join, outputs).shape[1:]
        return without_empty(params), without_empty(states), joined


def serial(*layers: Layer, **by_name: Layer) -> Serial:
    """Layers one after the other.

    Args:
        layers: named after their kind and number: conv1, relu1, maxpool1, conv2, …
        by_name: under the names given, after those without one.

    Raises:
        TypeError: an argument is no layer.
        ValueError: there is none.
    """
    return Serial(_children("serial", layers, by_name))


def residual(*body: Layer, shortcut: Layer | None = None) -> Branches:
    """y = body(x) + shortcut(x); backward, δ goes down both ways and their gradients add up.

    He et al. 2015; Quan, "ResNet": the last layer before the addition is as wide as the shortcut.

    Args:
        body: one layer, or several to run one after the other.
        shortcut: what is added; the input itself by default.

    Raises:
        TypeError: an argument is no layer.
        ValueError: there is no body.
    """
    if not body:
        raise ValueError("residual: body must be at least one layer, got none")
    for layer in body:
        _check_layer("residual", "body", layer)
    inner = body[0] if len(body) == 1 else serial(*body)
    other = Identity() if shortcut is None else shortcut
    return Branches(_children("residual", (), {"body": inner, "shortcut": other}), merge="add")


def concatenated(*branches: Layer, **by_name: Layer) -> Branches:
    """y = the outputs of the branches side by side, as channels; δ is split among them.

    With `Identity()` as one of the branches this is a step of a DenseNet; Quan, "DenseNet".

    Raises:
        TypeError: an argument is no layer.
        ValueError: there is none.
    """
    return Branches(_children("concatenated", branches, by_name), merge="concatenate")


def heads(**by_name: Layer) -> Branches:
    """y = a dict of the outputs of several heads on one trunk; it comes last in a network.

    Quan, "Finding Bounding Boxes": one head for the class, one for the box, and a sum of losses.

    Raises:
        TypeError: an argument is no layer.
        ValueError: there is none.
    """
    return Branches(_children("heads", (), by_name), merge="outputs")


@dataclass(frozen=True)
class Identity(Leaf):
    """y = x."""

    rule: Rule = field(default=None, kw_only=True)  # type: ignore[assignment]  # it applies none

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return x


def without_empty(trees: Tree) -> Tree:
    """The entries that hold anything: a layer without parameters or state does not appear."""
    return {name: tree for name, tree in trees.items() if tree}


def _numbered(layers: Sequence[Layer]) -> list[tuple[str, Layer]]:
    """Layers named after their kind and number."""
    children: list[tuple[str, Layer]] = []
    counts: dict[str, int] = {}
    for layer in layers:
        kind = layer.kind if isinstance(layer, Leaf) else type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        children.append((f"{kind}{counts[kind]}", layer))
    return children


def _children(op: str, layers: Sequence[Layer], by_name: dict[str, Layer]) -> Children:
    children = [*_numbered(layers), *by_name.items()]
    if not children:
        raise ValueError(f"{op}: layers must be at least one layer, got none")
    for name, layer in children:
        _check_layer(op, name, layer)
    if len({name for name, _ in children}) != len(children):
        names = [name for name, _ in children]
        raise ValueError(f"{op}: layers must have names of their own, got {names}")
    return tuple(children)


def _check_layer(op: str, name: str, layer: Any) -> None:
    if not isinstance(layer, Layer):
        raise TypeError(f"{op}: {name} must be a layer, got {check.shown(layer)}")
