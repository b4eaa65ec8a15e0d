"""Question: do the lectures' examples, worked by hand, come out as the rules and JAX compute them?

Command:  python -m experiments.walkthrough                 (--only quiz1 huang for some of them)
Result:   11 examples, 261 numbers forward and backward; they differ by 1e-16 at most
Time:     9 s of processor time, most of it JAX compiling small programs
Hardware: 2 cores of an AMD EPYC (AVX2), float64, jax 0.10.2

Every example prints two tables. Forward, each quantity of the lecture with its formula; backward,
the derivative of the result with respect to each quantity, with the lecture's formula for it. The
numbers stand side by side: worked by hand from these formulas, through jaxcnn's rules, and by JAX's
own differentiation of plain operations. No rule takes part in the first two, which have a sine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from experiments.command_line import program
from experiments.worked import EXAMPLES, Example, Line, lines

TOLERANCE = 1e-12
WIDTH = 120


@dataclass(frozen=True)
class Options:
    """Print the lectures' worked examples beside JAX's numbers."""

    only: tuple[str, ...] = ()
    """Names of examples; all of them by default."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print; the exit code is 2 for an unknown example, 1 where numbers disagree."""
    import tyro
    from rich.console import Console

    options = tyro.cli(
        Options,
        args=arguments,
        prog="python -m experiments.walkthrough",
        description=f"{Options.__doc__} They are: {', '.join(EXAMPLES)}.",
    )
    for name in options.only:
        if name not in EXAMPLES:
            print(f"--only must name some of {', '.join(EXAMPLES)}, got {name}.", file=sys.stderr)
            return 2
    # Wide enough for the widest table, so that the text does not depend on who reads it.
    console = Console(highlight=False, width=max(WIDTH, Console().width))
    numbers, worst = 0, 0.0
    with jax.enable_x64(True):
        for name in options.only or EXAMPLES:
            forward, backward = lines(EXAMPLES[name])
            show(console, EXAMPLES[name], forward, backward)
            numbers += sum(line.by_hand.size for line in (*forward, *backward))
            # np.max, unlike max, keeps a NaN.
            worst = np.max([worst, *(disagreement(line) for line in (*forward, *backward))])
    console.print(f"{numbers} numbers, by hand and by machine, differ by {worst:.1g} at most")
    return 0 if worst <= TOLERANCE else 1


def disagreement(line: Line) -> float:
    """The largest difference between the by-hand numbers and the others, relative to 1 or more."""
    others = [value for value in (line.by_rules, line.by_jax) if value is not None]
    scale = max(1.0, float(np.max(np.abs(line.by_hand))))
    return float(np.max([np.max(np.abs(line.by_hand - other)) for other in others]) / scale)


def show(console, example: Example, forward: list[Line], backward: list[Line]) -> None:
    """The example's title, what is given, its two tables and the remark."""
    from rich.markup import escape
    from rich.table import Table

    console.rule(f"[bold]{escape(example.title)}")
    console.print(escape(example.source))
    given = Table.grid(padding=(0, 2))
    pairs = [(f"{name} =", text(value)) for name, value in example.arrays.items()]
    given.add_row(*(cell for pair in pairs for cell in pair))
    console.print(given)
    for title, rows in (("forward ↓", forward), ("backward ↑", backward)):
        table = Table(title=title, title_justify="left", show_lines=True)
        first = "quantity" if rows is forward else f"d{example.result}/d…"
        for column in (first, "formula", "by hand", "jaxcnn", "JAX"):
            table.add_column(column, no_wrap=column != "formula")
        for line in rows:
            numbers = (line.by_hand, line.by_rules, line.by_jax)
            cells = ("–" if value is None else text(value) for value in numbers)
            table.add_row(line.quantity, line.formula, *cells)
        console.print(table)
    console.print(f"[italic]{escape(example.remark)}\n")


def text(value: np.ndarray) -> str:
    """Up to 6 significant digits; vectors as columns, matrices by rows."""
    if value.ndim == 0:
        return f"{float(value) + 0.0:.6g}"
    rows = value[:, None] if value.ndim == 1 else value
    cells = [[f"{number + 0.0:.4g}" for number in row] for row in rows]
    width = max(len(cell) for row in cells for cell in row)
    return "\n".join(" ".join(cell.rjust(width) for cell in row) for row in cells)


if __name__ == "__main__":
    program.run(main)
