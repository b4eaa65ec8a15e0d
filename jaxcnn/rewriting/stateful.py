"""Objects that hold arrays and change them: Flax's nnx modules and Keras's layers.

Neither library is imported here: an object of one can only exist where it has been imported.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

Function = Callable[..., Any]


class Merged(NamedTuple):
    """Arguments as a tree of arrays and other leaves, and the way into a trace and out of it."""

    given: Any
    inside: Function
    """Arguments of f, made of a tree like `given`."""
    leaving: Function
    """Of those arguments, once f was called, and its result: what leaves the trace."""
    outside: Function
    """The result, of a tree like what left."""


@contextmanager
def merged(args: Any, kwargs: Any) -> Iterator[Merged]:
    """The arguments of a call, in which objects of nnx change as under `nnx.jit`.

    Their whole graph leaves the trace: variables, other attributes, and what is new or deleted.
    """
    whole = (args, kwargs)
    if not any(map(is_object, jax.tree.leaves(whole, is_leaf=is_object))):
        yield Merged(whole, lambda given: given, lambda _, result: result, lambda left: left)
        return
    nnx, call = sys.modules["flax.nnx"], object()

    def split(tree: Any) -> Any:
        with nnx.split_context(call) as context:
            return context.split(tree)

    def merge(parts: Any, inner: bool) -> Any:
        with nnx.merge_context(call, inner) as context:
            return context.merge(*parts)

    held: list[Any] = []  # what the objects hold before the call; after it, if they changed

    def arrays_of(arguments: Any) -> list[Any]:
        graph, state = nnx.split(arguments)
        return [graph, *jax.tree.leaves(state)]

    def inside(given: Any) -> Any:
        arguments = merge(given, True)
        held[:] = arrays_of(arguments)
        return arguments

    def leaving(arguments: Any, result: Any) -> Any:
        graph, *arrays = arrays_of(arguments)
        same = graph == held[0] and all(a is b for a, b in zip(arrays, held[1:], strict=True))
        if same and not any(map(is_object, jax.tree.leaves(result, is_leaf=is_object))):
            held.clear()  # nothing is written, which an outer trace might forbid
            return result
        return split((arguments, result))

    with nnx.update_context(call):
        yield Merged(
            split(whole),
            inside,
            leaving,
            lambda left: merge(left, False)[1] if held else left,
        )


def is_object(x: Any) -> bool:
    """Whether it is one of nnx, which may change in place."""
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(x, (nnx.Pytree, nnx.Variable))


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
    scope.get_current_value = _current_value(scope)
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


def _current_value(scope: Any) -> Function:
    """Of a variable; its own where the scope has no other, of which a weight's loss is made."""
    asking: list[Any] = []  # a variable whose own value is asked for: it asks the scope first

    def current_value(variable: Any) -> Any:
        value = scope.state_mapping.get(id(variable))
        if value is not None or asking:
            return value
        asking.append(variable)
        try:
            return variable.value
        finally:
            asking.clear()

    return current_value


def _uninitialised() -> list[Any]:
    state = sys.modules["keras.src.backend.common.global_state"]
    return state.get_global_attribute("uninitialized_variables") or []
