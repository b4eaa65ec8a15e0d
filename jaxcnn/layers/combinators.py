"""Combinators: networks made of layers."""

from dataclasses import dataclass

import jax

from jaxcnn.layers.base import Layer, Leaf, named


@dataclass(frozen=True)
class Serial(Layer):
    """Layers one after the other, each under its name; made by `serial`."""

    children: tuple[tuple[str, Layer], ...]

    def apply(self, params, state, x, *, key=None, train=False):  # noqa: D102
        new_state = {}
        for position, (name, layer) in enumerate(self.children):
            child_key = None if key is None else jax.random.fold_in(key, position)
            with named(name):
                x, child_state = layer.apply(
                    params.get(name, {}), state.get(name, {}), x, key=child_key, train=train
                )
            if child_state:
                new_state[name] = child_state
        return x, new_state

    def _build(self, key, shape, dtype):
        params, state = {}, {}
        for position, (name, layer) in enumerate(self.children):
            with named(name):
                child = layer._build(jax.random.fold_in(key, position), shape, dtype)
            child_params, child_state, shape = child
            if child_params:
                params[name] = child_params
            if child_state:
                state[name] = child_state
        return params, state, shape


def serial(*layers: Layer, **by_name: Layer) -> Serial:
    """Layers one after the other.

    Args:
        layers: named after their kind and number: conv1, relu1, maxpool1, conv2, …
        by_name: under the names given, after those without one.

    Raises:
        TypeError: an argument is no layer.
        ValueError: there is none.
    """
    children: list[tuple[str, Layer]] = []
    counts: dict[str, int] = {}
    for layer in layers:
        kind = layer.kind if isinstance(layer, Leaf) else type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        children.append((f"{kind}{counts[kind]}", layer))
    children += by_name.items()
    if not children:
        raise ValueError("serial: layers must be one at least, got none")
    for name, layer in children:
        if not isinstance(layer, Layer):
            raise TypeError(f"serial: {name} must be a layer, got {layer!r}")
    return Serial(tuple(children))
