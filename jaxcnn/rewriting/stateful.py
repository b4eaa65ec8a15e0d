"""Objects that hold arrays and change them: Flax's nnx modules and Keras's layers.

Neither library is imported here: an object of one can only come from where it has been.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CellType
from typing import Any

import jax

Function = Callable[..., Any]


def merged_arguments(args: Any, kwargs: Any) -> tuple[Any, Function, Function, Function]:
    """Arguments as arrays and other leaves, and three functions: together, state, update.

    `together` makes arguments of leaves like those. Where objects of nnx are among them, `state`
    says what they hold once they have been called, and `update` puts that into those given, as
    `nnx.jit` does. Everything else must stay as it is.
    """
    whole = (args, kwargs)
    nnx = sys.modules.get("flax.nnx")
    if nnx is None or not _objects(nnx, whole):
        return whole, lambda x: x, lambda x: None, lambda x: None
    graph, state = nnx.split(whole)

    def update(states: list[Any]) -> None:
        for held, state in zip(_objects(nnx, whole), states, strict=True):
            nnx.update(held, state)

    return (
        state,
        lambda state: nnx.merge(graph, state),
        lambda arguments: [nnx.state(held) for held in _objects(nnx, arguments)],
        update,
    )


def _objects(nnx: Any, arguments: Any) -> list[Any]:
    leaves = jax.tree.leaves(arguments, is_leaf=lambda x: isinstance(x, nnx.Pytree))
    return [leaf for leaf in leaves if isinstance(leaf, nnx.Pytree)]


@contextmanager
def kept_whole(f: Function, arguments: Any) -> Iterator[None]:
    """While f is traced: raise if a layer of Keras that it uses changes a variable."""
    keras = sys.modules.get("keras")
    layer: Any = getattr(keras, "Layer", ())  # an empty tuple of classes has no instances
    layers = [x for x in _held(f, arguments) if isinstance(x, layer)]
    before = [(variable, variable.value) for layer in layers for variable in layer.variables]
    yield
    changed = [(variable, value) for variable, value in before if variable.value is not value]
    for variable, value in changed:
        variable.assign(value)
    if changed:
        raise ValueError(
            f"with_rules: f must return what it changes, got a change of {changed[0][0].path}; "
            "call the model's stateless_call inside"
        )


def _held(f: Function, arguments: Any) -> Iterator[Any]:
    """What a function is, belongs to, closes over and is given."""
    cells: tuple[CellType, ...] = getattr(f, "__closure__", None) or ()
    yield f
    yield getattr(f, "__self__", None)
    for cell in cells:
        try:
            yield cell.cell_contents
        except ValueError:  # an empty one
            continue
    yield from jax.tree.leaves(arguments, is_leaf=lambda x: hasattr(x, "variables"))
    code = getattr(f, "__code__", None)
    names = getattr(code, "co_names", ())
    space = getattr(f, "__globals__", {})
    yield from (space[name] for name in names if name in space)
