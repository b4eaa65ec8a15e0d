"""A program evaluated equation by equation, with some of them computed otherwise.

JAX's calls are opened: the program of a jit, a loop or a branch is rewritten, and the call is made
with it, so that a loop stays a loop. Functions that have a derivative of their own keep it, and
stay as they are. A program that JAX has cached for a call is rewritten only once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import jax
from jax import lax
from jax.extend.core import Literal

from jaxcnn import hints
from jaxcnn.rewriting.found import Found, Left
from jaxcnn.rewriting.rectifiers import programs, rectifiers

Function = Callable[..., Any]

# The parameters of calls that hold programs, each of which may be put in another's place.
CALLS = {
    "jit": ("jaxpr",),
    "pjit": ("jaxpr",),
    "closed_call": ("call_jaxpr",),
    "scan": ("jaxpr",),
    "while": ("cond_jaxpr", "body_jaxpr"),
    "cond": ("branches",),
}
# Reductions of windows by any function, of which JAX does not know that it is a maximum or a sum.
GENERIC = ("reduce_window", "select_and_scatter")
OWN_DERIVATIVES = ("custom_jvp_call", "custom_vjp_call", "custom_lin")


@dataclass(frozen=True)
class Rewriting:
    """What is computed otherwise, and the note that is taken of it."""

    rules: tuple[tuple[str, Function, str | Function], ...]
    """By name, with that of what it does: a primitive's name, "relu", or "name:" and what
    `checkpoint_name` says."""
    notes: list[Found] | None = field(default=None, compare=False)
    inside: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def names(self) -> dict[str, tuple[Function, str | Function]]:
        """The rules by name."""
        return {name: (rule, by) for name, rule, by in self.rules}

    def within(self, call: str) -> "Rewriting":
        """The same, one call deeper."""
        return replace(self, inside=(*self.inside, call))

    def note(self, eqn: Any, operation: str, by: str | None, reason: str = "") -> None:
        """Write down what became of an equation."""
        if self.notes is not None:
            shapes = tuple(tuple(getattr(v.aval, "shape", ())) for v in eqn.invars)
            self.notes.append(Found(operation, shapes, self.inside, by, reason))


def evaluate(program: Any, args: Sequence[Any], rewriting: Rewriting) -> list[Any]:
    """The results of a program, of its constants and arguments."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    variables = (*jaxpr.constvars, *jaxpr.invars)
    values = dict(zip(variables, (*constants, *args), strict=True))

    def read(v: Any) -> Any:
        return v.val if isinstance(v, Literal) else values[v]

    relus = rectifiers(jaxpr) if "relu" in rewriting.names else {}
    for eqn in jaxpr.eqns:
        with eqn.ctx.manager, jax.named_scope(str(eqn.source_info.name_stack) or "with_rules"):
            outputs = _results(eqn, [read(v) for v in eqn.invars], rewriting, relus)
        values.update(zip(eqn.outvars, outputs, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _results(eqn: Any, args: list[Any], rewriting: Rewriting, relus: Any) -> Sequence[Any]:
    operation = named(eqn, rewriting.names, relus)
    if operation is not None:
        rule, by = rewriting.names[operation]
        given = [args[relus[eqn.outvars[0]]]] if operation == "relu" else args
        try:
            result = rule(*given, **eqn.params)
        except Left as why:
            rewriting.note(eqn, operation, None, str(why))
        else:
            if rewriting.notes is not None:
                said = by if isinstance(by, str) else by(*args, **eqn.params)
                rewriting.note(eqn, operation, said)
            return result if isinstance(result, (list, tuple)) else [result]
    name = eqn.primitive.name
    if name in CALLS:
        return _called(eqn, args, rewriting)
    if name in ("remat2", "checkpoint"):
        return _remat(eqn, args, rewriting)
    if name == "shard_map":
        return _shard_map(eqn, args, rewriting)
    if rewriting.notes is not None:
        if operation is None and name in GENERIC:
            rewriting.note(eqn, name, None, "JAX does not know its function, or its start")
        own = name in OWN_DERIVATIVES
        where = "a function with a derivative of its own" if own else "a call that is not gone into"
        _note_all(eqn, rewriting, f"it stands in {where}")
    result = eqn.primitive.bind(*args, **eqn.primitive.get_bind_params(eqn.params))
    return result if eqn.primitive.multiple_results else [result]


def named(eqn: Any, names: Any, relus: Any) -> str | None:
    """Under which of the names an equation is known, if any."""
    name = eqn.primitive.name
    if name == "name" and f"name:{eqn.params['name']}" in names:
        return f"name:{eqn.params['name']}"
    if eqn.outvars and eqn.outvars[0] in relus:
        return "relu"
    return name if name in names else None


def _operations(program: Any, names: Any) -> Iterator[tuple[Any, str | None]]:
    """Its equations, each with the name under which it is known."""
    jaxpr = getattr(program, "jaxpr", program)
    relus = rectifiers(jaxpr) if "relu" in names else {}
    return ((eqn, named(eqn, names, relus)) for eqn in jaxpr.eqns)


# Calls --------------------------------------------------------------------------------------------

_known: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def rewritten(program: Any, rewriting: Rewriting) -> Any:
    """The program with rules in it; None where it would stay as it is."""
    if rewriting.notes is not None:
        return _rewritten(program, rewriting)
    known = _known.setdefault(program, {})
    key = rewriting, hints.current()
    if key not in known:
        known[key] = _rewritten(program, rewriting)
    return known[key]


def _rewritten(program: Any, rewriting: Rewriting) -> Any:
    if not concerned(program, rewriting):
        return None
    return jax.make_jaxpr(lambda *args: evaluate(program, args, rewriting))(*program.in_avals)


def concerned(program: Any, rewriting: Rewriting) -> bool:
    """Whether there is anything in a program, at any depth, that may be computed otherwise."""
    names = rewriting.names
    if rewriting.notes is not None:
        return True
    return any(
        operation is not None or any(concerned(p, rewriting) for p in programs(eqn))
        for eqn, operation in _operations(program, names)
    )


def _called(eqn: Any, args: list[Any], rewriting: Rewriting) -> Sequence[Any]:
    deeper = rewriting.within(_title(eqn))
    params = dict(eqn.params)
    for key in CALLS[eqn.primitive.name]:
        held = params[key]
        several = isinstance(held, tuple)
        new = tuple(rewritten(p, deeper) or p for p in (held if several else (held,)))
        params[key] = new if several else new[0]
    return eqn.primitive.bind(*args, **eqn.primitive.get_bind_params(params))


def _title(eqn: Any) -> str:
    name = eqn.params.get("name")
    return f"{eqn.primitive.name} {name}" if name else eqn.primitive.name


def _remat(eqn: Any, args: list[Any], rewriting: Rewriting) -> Sequence[Any]:
    inner, params = eqn.params["jaxpr"], eqn.params
    deeper = rewriting.within("checkpoint")

    def computed(*args: Any) -> list[Any]:
        return evaluate(inner, args, deeper)

    if params["differentiated"]:  # the backward pass of one: what was not stored, computed again
        return computed(*(lax.optimization_barrier(args) if params["prevent_cse"] else args))
    return jax.checkpoint(computed, prevent_cse=params["prevent_cse"], policy=params["policy"])(
        *args
    )


def _shard_map(eqn: Any, args: list[Any], rewriting: Rewriting) -> Sequence[Any]:
    params = eqn.params
    deeper = rewriting.within("shard_map")
    mapped = jax.shard_map(
        lambda *args: tuple(evaluate(params["jaxpr"], args, deeper)),
        mesh=params["mesh"],
        in_specs=tuple(params["in_specs"]),
        out_specs=tuple(params["out_specs"]),
        axis_names=set(params.get("newly_manual_axes") or params["manual_axes"]),  # 0.10.0
        check_vma=params["check_vma"],
    )
    return mapped(*args)


def _note_all(eqn: Any, rewriting: Rewriting, reason: str) -> None:
    """Write down everything inside that stays as it is."""
    names = rewriting.names
    deeper = rewriting.within(_title(eqn))
    for program in programs(eqn):
        for inner, found in _operations(program, names):
            name = inner.primitive.name
            if (found := found or (name if name in GENERIC else None)) is not None:
                deeper.note(inner, found, None, reason)
            _note_all(inner, deeper, reason)
