"""Hints for the notebooks' exercises: the wrong rules that the tests of jaxcnn must catch."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from jaxcnn import gradcheck
from jaxcnn.gradcheck.cases.case import Case

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from mutation import all_mutants

# By the letters of `gradcheck.derivative`: first gradients, tangents, second derivatives.
KINDS = {"r": (1, False), "f": (1, True), "rr": (2, False)}
SAME = 1e-9
"""Relative; an exercise's mistake is off by far more."""


def hint(attempt: Callable[..., Any], op: Callable[..., Any], kind: str = "r", **settings) -> None:
    """Print which wrong rule of the tests has the derivative that the attempt has.

    Both are computed at the arrays that the tests catch this wrong rule at, with a random δ.

    Args:
        attempt: a function of the arrays that `op` takes, with a rule of the reader's.
        op: the operation of jaxcnn that it is to be equal to.
        kind: "r" for its gradients, "f" for its tangent, "rr" for the gradients of its gradients.
        settings: those of op that the attempt has built in.
    """
    tried = [
        mutant
        for mutant in all_mutants()
        if mutant.case.op is op
        and mutant.case.settings == settings
        and (mutant.orders, mutant.of_tangent) == KINDS[kind]
    ]
    found, wrong = list[str](), False
    for case in {id(mutant.case): mutant.case for mutant in tried}.values():
        derivative, names = _derivative(case, kind)
        right, mine = derivative(case.function()), derivative(attempt)
        off = [i for i, pair in enumerate(zip(mine, right, strict=True)) if not _same(*pair)]
        wrong = wrong or bool(off)
        for mutant in [mutant for mutant in tried if off and mutant.case is case]:
            settings = {**case.settings, "rule": mutant.rule}
            theirs = derivative(replace(case, settings=settings).function())
            found += [
                f"your {names[i]} is that of a wrong rule which the tests know as “{mutant.name}”"
                for i in off
                if _same(mine[i], theirs[i])
            ]
    for sentence in found:
        print(f"Hint: {sentence}.")
    if wrong and not found:
        known = ", ".join(f"“{mutant.name}”" for mutant in tried)
        print(f"Hint: no wrong rule of the tests does the same. Those they know: {known}.")
    if not wrong:
        print("No hint is needed: where the tests catch wrong rules, yours is right.")


def _derivative(case: Case, kind: str) -> tuple[Callable[[Any], list[Any]], list[str]]:
    """What returns the arrays of a function's derivative at the case, and what they are called."""
    arguments = gradcheck.derivative_arguments(case.function(), kind, case.arrays())
    names = list(case.shapes)
    labels = {
        "r": [f"∂{name}" for name in names],
        "f": ["tangent"],
        "rr": [f"derivative of the gradients in {name}" for name in (*names, "δ")],
    }
    return lambda f: jax.tree.leaves(gradcheck.derivative(f, kind)(*arguments)), labels[kind]


def _same(a: Any, b: Any) -> bool:
    return gradcheck.relative_error(a, b)[0] < SAME
