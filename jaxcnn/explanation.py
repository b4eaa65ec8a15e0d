"""Which form computes each convolution and pooling of a function, and how to choose another one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn import check, hints
from jaxcnn.compilation import Jitted
from jaxcnn.lowering import convolution, pooling
from jaxcnn.lowering.forms import Form, Table, choose, names, plain
from jaxcnn.primitive import by_hand_p


@contextmanager
def forms(*name: str) -> Iterator[None]:
    """Within it, each convolution and pooling is computed by the first of these forms that can.

    On every platform alike, forward and backward; gradients keep the form of their forward pass.
    "plain" can always: each operation is one of XLA's own, and what it computes stands in the
    program without a choice of the platform, so that other tools can read it; derivatives are by
    hand all the same. A convolution's own `method` goes first.

    Args:
        name: of a form, one or several; `explain_forms` shows which there are.

    Raises:
        ValueError: no form has that name.
    """
    tables = *convolution.TABLES.values(), *pooling.TABLES.values()
    for each in name:
        check.choice("forms", "name", each, names(tables))
    with hints.forms(name):
        yield


@dataclass(frozen=True)
class Choice:
    """How one map is computed."""

    map: str
    """Such as "kernel gradient"."""
    problem: Any
    """What it depended on: sizes, settings, what is known of the program."""
    form: Form[Any]
    """What computes it, on a CPU."""
    elsewhere: Form[Any]
    """What computes it on every other platform, where the whole of it is computed."""
    passed_over: tuple[tuple[str, str], ...]
    """The forms before it in the table, and why each was not taken."""
    parts: "Choice | None" = None
    """How its parts are computed, if it has any: each group, each slice."""

    @property
    def reason(self) -> str:
        """Why it is this form."""
        named = self.form.name in self.problem.asked
        return "it was named" if named else self.form.why

    def __str__(self) -> str:
        lines = [f"{self.map}, {self.problem}: {self.form.name}, {self.reason}"]
        if self.elsewhere is not self.form:
            lines.append(f"  on other platforms: {self.elsewhere.name}")
        lines += [f"  not {name}: {reason}" for name, reason in self.passed_over]
        if self.parts is not None:
            lines += [f"  {line}" for line in f"of each part: {self.parts}".splitlines()]
        return "\n".join(lines)


class Choices(tuple[Choice, ...]):
    """All choices in the order in which they were made; printed, some lines for each."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "no convolution and no pooling"


def explain_forms(f: Callable[..., Any], *args: Any, backward: bool = True) -> Choices:
    """Which form computes each convolution and pooling of f(*args), and why not those before it.

    Problems that are alike are listed once. Nothing is computed: f is traced. A function that
    `jaxcnn.jit` made is explained with its compiler options, on which the choice depends.

    Args:
        f: any function of arrays.
        args: its arguments; for arrays their types suffice, as `jax.eval_shape` takes them.
        backward: whether to list the maps of f's gradients too, by all its float arrays.

    Raises:
        TypeError: f is no function.
    """
    check.function("explain_forms", "f", f)
    check.boolean("explain_forms", "backward", backward)
    function = f.told if isinstance(f, Jitted) else f
    leaves, structure = jax.tree.flatten(args)
    arrays = [i for i, leaf in enumerate(leaves) if hasattr(leaf, "dtype")]
    floats = [i for i in arrays if backward and jnp.issubdtype(leaves[i].dtype, jnp.inexact)]

    def outputs(values: Sequence[Any], *moving: Any) -> list[Any]:
        given = dict(zip(arrays, values, strict=True)) | dict(zip(floats, moving, strict=True))
        filled = [given.get(i, leaf) for i, leaf in enumerate(leaves)]
        y = jax.tree.leaves(function(*structure.unflatten(filled)))
        return [leaf for leaf in y if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]

    def both(*values: Any) -> None:
        given = dict(zip(arrays, values, strict=True))
        y, pull = jax.vjp(lambda *moving: outputs(values, *moving), *(given[i] for i in floats))
        pull([jnp.ones_like(leaf) for leaf in y])

    found: dict[tuple[str, Any], Choice] = {}

    def note(name: str, table: Table[Any], problem: Any) -> None:
        found.setdefault((name, problem), _choice(name, table, problem))

    def note_of_forward(name: str, table: Table[Any], problem: Any) -> None:
        if table is pooling.STEPS:  # made by a forward pass, while differentiating
            note(name, table, problem)

    with hints.noted(note_of_forward):
        program = jax.make_jaxpr(both)(*(leaves[i] for i in arrays))
    for eqn in _by_hand(program.jaxpr):
        with hints.noted(note):
            jax.eval_shape(eqn.params["map"], *(value.aval for value in eqn.invars))
    return Choices(found.values())


def _by_hand(jaxpr: Any) -> Iterator[Any]:
    """What rules compute in a program, and in those within it: jitted functions, loops, branches.

    Only what is there after differentiating: a jitted function was traced without it before.
    """
    for eqn in jaxpr.eqns:
        if eqn.primitive is by_hand_p:
            yield eqn
            continue
        for value in eqn.params.values():
            for part in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from _by_hand(inner)


def _choice(name: str, table: Table[Any], problem: Any, part: bool = False) -> Choice:
    form, named = choose(table, problem)
    same = named or form.everywhere or part
    return Choice(
        name,
        problem,
        form,
        elsewhere=form if same else plain(table),
        passed_over=()
        if named
        else tuple((f.name, f.passed_over(problem)) for f in table[: table.index(form)]),
        parts=None if form.left is None else _choice(name, table, form.left(problem), part=True),
    )
