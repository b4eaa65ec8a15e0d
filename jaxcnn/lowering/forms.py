"""Ways to compute a map, as values: a table for each map, of which the first that serves is taken.

A table ends with the form that computes every problem, `plain`: XLA's own operations, which every
form must agree with. A user may name a form (`method`, `jaxcnn.forms`), which is then taken on
every platform for all that it can compute, whether or not it is the fastest there.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jax import Array

from jaxcnn import hints
from jaxcnn.lowering.places import on_a_cpu
from jaxcnn.lowering.problem import Problem

P = TypeVar("P", bound=Problem)


def never(problem: Any) -> str:
    """No reason against a form."""
    del problem
    return ""


@dataclass(frozen=True)
class Form(Generic[P]):
    """One way to compute a map. Reasons are the end of a sentence, empty if there is none."""

    name: str
    run: Callable[..., Any]
    """Of the arrays and, by name, the problem."""
    why: str
    """What it gains where it is taken."""
    cannot: Callable[[P], str] = never
    """Why it cannot compute the problem."""
    slower: Callable[[P], str] = never
    """Why another form is expected to be faster, or is not worth its longer program."""
    left: Callable[[P], P] | None = None
    """The problem that it leaves to another form: that of each group, of each slice."""
    adds_zeros: bool = False
    """Whether numbers meet zeros that are none of the problem's: 0 · ∞ is NaN."""
    any_sizes: bool = False
    """Whether sizes may be symbols, and axes of space may be missing."""
    everywhere: bool = False
    """Whether every platform takes it, not CPUs alone."""

    def refuses(self, problem: P) -> str:
        """Why it cannot compute the problem."""
        return ("" if self.any_sizes else problem.closed) or self.cannot(problem)

    def passed_over(self, problem: P) -> str:
        """Why the form is not taken unless somebody names it."""
        return self.refuses(problem) or self.slower(problem)


Table = Sequence[Form[P]]


def names(tables: Iterable[Table[Any]]) -> tuple[str, ...]:
    """The names of all forms of some tables, each once."""
    return tuple(dict.fromkeys(form.name for table in tables for form in table))


def choose(table: Table[P], problem: P) -> tuple[Form[P], bool]:
    """The form that is taken, and whether it was named."""
    for name in problem.asked:
        named = (form for form in table if form.name == name and not form.refuses(problem))
        if (form := next(named, None)) is not None:
            return form, True
    return next(form for form in table if not form.passed_over(problem)), False


def plain(table: Table[P]) -> Form[P]:
    """The form that computes everything."""
    return table[-1]


def compute(
    name: str,
    table: Table[P],
    problem: P,
    *arrays: Array,
    guarded: Callable[[Form[P], P], Callable[..., Any]] | None = None,
) -> Any:
    """The map of that name by the form that is taken: on a CPU, or everywhere if the form says so.

    `guarded` turns a form into the function to call.
    """
    if (note := hints.noted.value) is not None:
        note(name, table, problem)
    form, named = choose(table, problem)
    default = plain(table)
    run = form.run if guarded is None else guarded(form, problem)
    if named or form is default or form.everywhere:
        return run(*arrays, problem=problem)
    return on_a_cpu(*arrays, cpu=run, default=default.run, problem=problem)
