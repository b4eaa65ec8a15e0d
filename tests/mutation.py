"""Deliberately wrong rules: what a mutant is, how it is made, and how it must be caught.

Each mutant replaces the backward pass of a real rule; everything else stays as it is.
"""

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxcnn.gradcheck import check_gradients
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.rules import custom_rule

Backward = Callable[..., Any]


class Mutant(NamedTuple):
    name: str
    case: Case
    backward: Backward
    orders: int = 1


def all_mutants() -> list[Mutant]:
    """Those of every `test_mutants_*` beside this file."""
    paths = sorted(Path(__file__).parent.glob("test_mutants_*.py"))
    return [mutant for path in paths for mutant in importlib.import_module(path.stem).MUTANTS]


def mutate(rule: Any, backward: Backward) -> Any:
    wrong = custom_rule(rule.fun, nondiff_argnums=rule.nondiff_argnums)
    wrong.defvjp(rule.fwd, backward)
    return wrong


def changed(rule: Any, change: Callable[..., Any]) -> Backward:
    """The right backward pass, its gradients changed afterwards."""
    return lambda *args: change(*rule.bwd(*args))


def with_geometry(rule: Any, change: Callable[[Any], Any]) -> Backward:
    """The right backward pass for another geometry."""
    return lambda geometry, *rest: rule.bwd(change(geometry), *rest)


def frozen(rule: Any, which: str) -> Backward:
    """Right at order 1, but the derivative forgets that it depends on its residuals or on δ."""

    def backward(*args):
        *static, residuals, delta = args
        stop = jax.lax.stop_gradient
        if which == "residuals":
            residuals = jax.tree.map(stop, residuals)
        else:
            delta = stop(delta)
        return rule.bwd(*static, residuals, delta)

    return backward


def findings_of(case: Case, rule: Any, orders: int):
    settings = {**case.settings, "rule": rule}
    return check_gradients(
        replace(case, settings=settings).function(),
        *case.arrays(),
        twin=case.function(twin=True),
        orders=orders,
        symmetry=False,
        difference_tolerance=None,
    )


@cache
def _right_rule_passes(name: str) -> bool:
    """Once per case, whatever the number of its mutants."""
    case = _CASES[name]
    return all(finding.passed for finding in findings_of(case, case.rule, 1))


_CASES: dict[str, Case] = {}


def assert_caught(mutant: Mutant) -> None:
    """The right rule passes at this case; the wrong one fails at its order, and only there."""
    _CASES.setdefault(mutant.case.name, mutant.case)
    assert _right_rule_passes(mutant.case.name)
    wrong = mutate(mutant.case.rule, mutant.backward)
    *before, last = findings_of(mutant.case, wrong, mutant.orders)
    assert all(finding.passed for finding in before)
    assert not last.passed
