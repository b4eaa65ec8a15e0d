"""Rectifiers in a program: max(x, 0) either way round, x where x > 0 and else 0, x • (x > 0).

What is known of a variable is "zero", "number" (any other one that is written down), or where
which other variable is above or below zero.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

_STILL = {"convert_element_type", "stop_gradient"}  # element by element
MOVED = {"broadcast_in_dim", "copy", "reshape", "squeeze", *_STILL}
_SIGNS = {"gt": "above", "ge": "above", "lt": "below", "le": "below"}
_OTHER = {"above": "below", "below": "above"}
_WHOLE = {
    "jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint",
}  # fmt: skip
Known = Mapping[Any, Any]


def programs(eqn: Any) -> list[Any]:
    """Those among the parameters of an equation."""
    flat = jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "eqns"))
    return [p for p in flat if hasattr(p, "eqns")]


def rectifiers(jaxpr: Any, given: Known = MappingProxyType({})) -> dict[Any, int]:
    """By its result, each equation that is max(x, 0): the place of x among its operands."""
    known = facts(jaxpr, given)
    places = {eqn.outvars[0]: _place(eqn, known) for eqn in jaxpr.eqns if len(eqn.outvars) == 1}
    return {result: place for result, place in places.items() if place is not None}


def facts(jaxpr: Any, given: Known) -> dict[Any, Any]:
    """What is known of its variables, from what is known of some."""
    known = dict(given)
    for eqn in jaxpr.eqns:
        name, operands = eqn.primitive.name, eqn.invars
        if name in MOVED:
            found = fact(known, operands[0])
            if isinstance(found, str) or name in _STILL:
                known[eqn.outvars[0]] = found
        elif name == "not" and isinstance(found := fact(known, operands[0]), tuple):
            known[eqn.outvars[0]] = _OTHER[found[0]], found[1]
        elif name == "mul" and "zero" in (fact(known, v) for v in operands):
            known[eqn.outvars[0]] = "zero"
        elif name in _SIGNS:
            for x, zero, sign in (
                (*operands, _SIGNS[name]),
                (*reversed(operands), _OTHER[_SIGNS[name]]),
            ):
                if fact(known, zero) == "zero" and not isinstance(x, Literal):
                    known[eqn.outvars[0]] = sign, x
    return known


def fact(known: Known, v: Any) -> Any:
    """What is known of a variable or of what is written down."""
    if isinstance(v, Literal):
        return "zero" if v.val == 0 else "number"
    return known.get(v)


def passed(known: Known, operands: Any, inner: Any) -> dict[Any, Any]:
    """What the program of a call may know of its variables."""
    names = {v: w for v, w in zip(operands, inner, strict=True) if not isinstance(v, Literal)}
    found = {}
    for v, w in zip(operands, inner, strict=True):
        what = fact(known, v)
        if isinstance(what, tuple):
            what = (what[0], names[what[1]]) if what[1] in names else None
        found[w] = what
    return found


def _place(eqn: Any, known: Known) -> int | None:
    name, operands, result = eqn.primitive.name, eqn.invars, eqn.outvars[0].aval
    if name in _WHOLE:
        return _place_within(eqn, known)
    if not jnp.issubdtype(getattr(result, "dtype", bool), jnp.floating):
        return None
    if len(operands) > 3:
        return None
    pairs = {"max": ((0, 1), (1, 0)), "mul": ((0, 1), (1, 0)), "select_n": ((2, 1), (1, 2))}
    for x, other in pairs.get(name, ()):
        v, what = operands[x], fact(known, operands[other])
        if isinstance(v, Literal) or v.aval.shape != result.shape:
            continue
        if name == "max" and what == "zero":
            return x
        if name == "mul" and what == ("above", v):
            return x
        sign = "above" if x == 2 else "below"
        if name == "select_n" and what == "zero" and fact(known, operands[0]) == (sign, v):
            return x
    return None


def _place_within(eqn: Any, known: Known) -> int | None:
    """Of a call whose result is a rectifier of one of its operands."""
    held = [getattr(p, "jaxpr", p) for p in programs(eqn)]
    if len(held) != 1 or len(held[0].invars) != len(eqn.invars):
        return None
    (inner,) = held
    found = rectifiers(inner, passed(known, eqn.invars, inner.invars))
    result = inner.outvars[0]
    if isinstance(result, Literal) or result not in found:
        return None
    (last,) = (e for e in inner.eqns if result in e.outvars)
    x = last.invars[found[result]]
    return inner.invars.index(x) if x in inner.invars else None
