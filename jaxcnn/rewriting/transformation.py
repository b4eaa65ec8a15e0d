"""`with_rules`: the transformation, as users call it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial, update_wrapper
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from jaxcnn import check
from jaxcnn.rewriting.found import Explanation, Found, Left
from jaxcnn.rewriting.operations import RULES
from jaxcnn.rewriting.program import Rewriting, evaluate
from jaxcnn.rewriting.stateful import is_object, kept_whole, merged

Function = Callable[..., Any]


def with_rules(
    f: Function | None = None, *, rules: Mapping[str, Function | None] = MappingProxyType({})
) -> Any:
    """f with every convolution and pooling in it computed by the rules of jaxcnn.

    Values and derivatives are f's own; what changes is how convolutions, windows' maxima, minima
    and sums, products with a large matrix or with long sums, and the gradients of them all are
    computed, in both modes and at every order, wherever they stand: under `jit`, loops, branches,
    `checkpoint`, `shard_map`. Everything else stays as it is, functions with derivatives of their
    own included. To be wrapped around a model, or around a whole training step; inside
    `jaxcnn.jit` it is fastest.

        apply = jaxcnn.with_rules(model.apply)
        print(apply.explain(params, x))  # what is replaced, what is not, and why

    f is called once to be traced: whenever the result is called, or once for all under `jit`. It
    must be pure: arrays among its arguments are traced, everything else reaches it as it is.
    Objects of Flax's nnx among them change as under `nnx.jit`.

    Args:
        f: any JAX function; without it a decorator is returned.
        rules: other functions, or None to leave an operation as it is, by the name of its
            primitive (`jax.make_jaxpr` shows it), by "relu" for max(x, 0) in many words, or by
            "name:" and what `jax.ad_checkpoint.checkpoint_name` calls a value. Each is called with
            the operands and the primitive's parameters as keywords; for "relu" and "name:…" with
            the value alone.

    Raises:
        TypeError: f is no function, or rules are no mapping from names to functions or None.
        ValueError: f, while it is traced, changes an argument or what a layer of Keras holds.
    """
    if f is None:
        return partial(with_rules, rules=rules)
    if not callable(f):
        raise TypeError(f"with_rules: f must be a function, got {check.shown(f)}")
    if not isinstance(rules, Mapping) or not all(
        isinstance(name, str) and (rule is None or callable(rule)) for name, rule in rules.items()
    ):
        raise TypeError(
            "with_rules: rules must be a mapping from names of operations to functions or None, "
            f"got {check.shown(rules)}"
        )
    return WithRules(f, rules)


class WithRules:
    """A function with rules in it: to be called as the function itself, and to be asked."""

    def __init__(self, f: Function, rules: Mapping[str, Function | None]):
        update_wrapper(self, f, updated=())
        self._f = f
        own = {name: rule and _named(name, rule) for name, rule in rules.items()}
        self._rules = tuple((name, *rule) for name, rule in {**RULES, **own}.items() if rule)
        self._asked = {name: rule is not None for name, rule in rules.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What f returns."""
        with self._traced(args, kwargs) as (program, arrays, finish):
            return finish(evaluate(program, arrays, Rewriting(self._rules)))

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """What is replaced for such arguments and what not, and why; last, rules for nothing.

        Arrays may be given as `jax.ShapeDtypeStruct`.
        """
        notes: list[Found] = []
        left = tuple((name, _left, "") for name, ruled in self._asked.items() if not ruled)
        rewriting = Rewriting((*self._rules, *left), notes)
        with self._traced(args, kwargs) as (program, arrays, _):
            jax.eval_shape(lambda *arrays: evaluate(program, arrays, rewriting), *arrays)
        met = {found.operation for found in notes}
        unmet = [name for name in self._asked if name not in met]
        return Explanation(
            [*notes, *(Found(name, (), (), None, "the program has none") for name in unmet)]
        )

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method, of which the object is the first argument."""
        return self if instance is None else partial(self, instance)

    @contextmanager
    def _traced(self, args: Any, kwargs: Any) -> Iterator[tuple[Any, list[Any], Function]]:
        """The program of f, its arrays, and what makes a result of the program's."""
        with merged(args, kwargs) as tree:
            leaves, structure = jax.tree.flatten(tree.given)
            described = jax.ShapeDtypeStruct  # which `explain` takes for an array
            places = [i for i, a in enumerate(leaves) if _is_array(a) or isinstance(a, described)]
            arrays = [leaves[i] for i in places]
            returned: list[Any] = []

            def flat(*arrays: Any) -> list[Any]:
                inside = list(leaves)
                for i, array in zip(places, arrays, strict=True):
                    inside[i] = array
                arguments = tree.inside(jax.tree.unflatten(structure, inside))
                before = jax.tree.flatten(arguments, is_leaf=is_object)
                args, kwargs = arguments
                with kept_whole():
                    result = self._f(*args, **kwargs)
                _unchanged(arguments, *before)
                returned[:], form = jax.tree.flatten(tree.leaving(arguments, result))
                returned.append(form)
                return [leaf for leaf in returned if _is_array(leaf)]

            program = jax.make_jaxpr(flat)(*arrays)
            form = returned.pop()

            def finish(outputs: list[Any]) -> Any:
                values = iter(outputs)
                left = [next(values) if _is_array(leaf) else leaf for leaf in returned]
                return tree.outside(jax.tree.unflatten(form, left))

            yield program, arrays, finish


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) or (
        isinstance(leaf, np.ndarray) and leaf.dtype.kind not in "OUSV"
    )


def _unchanged(arguments: Any, given: list[Any], structure: Any) -> None:
    """Raise if anything but an object of nnx is no longer what was given."""
    leaves, now = jax.tree.flatten(arguments, is_leaf=is_object)
    if now == structure and all(x is y for x, y in zip(leaves, given, strict=True)):
        return
    raise ValueError(
        "with_rules: f must return what it changes, got a change of its arguments; pass state in "
        "and return it, as under jax.jit"
    )


def _left(*args: Any, **params: Any) -> Any:
    del args, params
    raise Left("rules say None")


def _named(name: str, rule: Function) -> tuple[Function, str]:
    """The rule, given the value alone where the parameters say nothing of it, and its name."""

    def of_value(x: Any, **params: Any) -> Any:
        del params
        return rule(x)

    alone = name == "relu" or name.startswith("name:")
    return of_value if alone else rule, getattr(rule, "__name__", str(rule))
