"""Objects that hold arrays and change them: Flax's nnx modules and Keras's layers.

Neither library is imported here: an object of one can only exist where it has been imported.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

Function = Callable[..., Any]


def merged_arguments(args: Any, kwargs: Any) -> tuple[Any, Function, Function, Function]:
    """Arguments as arrays and other leaves, and three functions: rebuilt, state, update.

    `rebuilt` makes arguments of leaves like those. Where objects of nnx are among them, `state`
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
def kept_whole() -> Iterator[None]:
    """While f is traced: raise if it changes or makes a variable of Keras, or adds a loss.

    It finds layers wherever f has them from: all that they keep goes through Keras's innermost
    scope.
    """
    scope_of: Any = getattr(sys.modules.get("keras"), "StatelessScope", None)
    if scope_of is None:
        yield
        return
    changed: list[Any] = []
    scope = scope_of(collect_losses=True)
    scope.add_update = lambda update: changed.append(update[0])
    scope.__enter__()
    if scope.original_scope is not None:  # whose values are meant
        scope.state_mapping.update(scope.original_scope.state_mapping)
    made: Any = ()
    try:
        yield
        if scope.original_scope is None:
            made = tuple(_uninitialised())
    finally:
        with jax.ensure_compile_time_eval():  # what was made is drawn now, and outlives the trace
            scope.__exit__()
    if made:
        raise ValueError(
            f"with_rules: f must use layers of Keras that are built, got one that makes "
            f"{made[0].path} only now; call it once before"
        )
    if changed or scope.losses:
        what = f"a change of {changed[0].path}" if changed else "a loss that a layer adds"
        raise ValueError(
            f"with_rules: f must return what it changes, got {what}; call the model's "
            "stateless_call inside"
        )


def _uninitialised() -> list[Any]:
    state = sys.modules["keras.src.backend.common.global_state"]
    return state.get_global_attribute("uninitialized_variables") or []
