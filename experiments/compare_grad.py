"""Question: do the hand-written rules and JAX's automatic differentiation agree, and at what cost?

Command:  python -m experiments.compare_grad
Result:   one line per public operation: the largest relative error of the value and of the
          derivatives against the plain twin, in reverse to order 3, in forward and in the mixtures
          of both modes to order 2, and of the Jacobian against central differences, over all cases
          of `jaxcnn.gradcheck.cases`; float32 against float64; what a backward pass keeps in memory
          and how long forward and backward take, ours against JAX's.
          The exit code is 1 if an error exceeds its tolerance, named at the foot of the column.
Time:     about 11 minutes on 2 CPU cores; two thirds of it without --timing.

Memory and times are those of one layer of real size (`cases.LARGE`), in float32, compiled with
default options; times are medians of runs in turn. For claims of speed see experiments.benchmark.
"""

import inspect
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from experiments.benchmarks.compiled import residual_bytes
from experiments.command_line import program
from jaxcnn.gradcheck import check_gradients, random_like, relative_error
from jaxcnn.gradcheck.cases import CASES, LARGE
from jaxcnn.gradcheck.cases.case import Case

TOLERANCES = {
    "value": 1e-10,
    "order 1": 1e-10,
    "order 2": 1e-10,
    "order 3": 1e-10,
    "forward": 1e-10,
    "mixed": 1e-10,
    "differences": 1e-6,
    "float32": 2e-6,
}
# What check_gradients calls its findings.
COLUMNS = {
    "value of the forward pass against the function's": "value",
    "value against the twin's": "value",
    "derivative of order 1 against the twin's": "order 1",
    "derivative of order 2 against the twin's": "order 2",
    "derivative of order 3 against the twin's": "order 3",
    "derivative f against the twin's": "forward",
    "tangent against its transpose": "forward",
    "derivative ff against the twin's": "mixed",
    "derivative fr against the twin's": "mixed",
    "derivative rf against the twin's": "mixed",
    "Jacobian against central differences": "differences",
}


@dataclass(frozen=True)
class Options:
    """Compare every hand-written rule with JAX's own derivative of its plain twin."""

    only: tuple[str, ...] = ()
    """Names of operations, such as conv or max_pool; all by default."""
    timing: bool = True
    """Whether to measure memory and time too."""
    repeats: int = 15
    """How many runs a median of times is taken over."""
    json: Path | None = None
    """A file to write the table to as JSON."""


@dataclass(frozen=True)
class Row:
    """One operation: formula, errors per column, and ours / JAX's for memory and time."""

    name: str
    formula: str
    cases: int
    errors: dict[str, float]
    residual_bytes: tuple[int, int] | None = None
    milliseconds: tuple[float, float] | None = None

    @property
    def failed(self) -> list[str]:
        """The columns whose error exceeds the tolerance; a NaN does."""
        return [name for name, error in self.errors.items() if not error <= TOLERANCES[name]]


def errors_of(case: Case) -> dict[str, float]:
    """The largest relative error of each kind at one case."""
    f, twin, arrays = case.function(), case.function(twin=True), case.arrays(jnp.float64)
    orders = 1 if case.on_kinks else 3
    check = partial(check_gradients, f, *arrays, twin=twin, symmetry=False)
    findings = check(orders=orders, **case.differences())
    findings += check(orders=min(orders, 2), modes="both", difference_tolerance=None)
    errors = dict.fromkeys((COLUMNS[finding.check] for finding in findings), 0.0)
    for finding in findings:
        column = COLUMNS[finding.check]
        errors[column] = max(errors[column], finding.error)
    narrow = case.arrays(jnp.float32)
    wide = [a.astype(jnp.float64) for a in narrow]
    cotangent = random_like(jax.eval_shape(f, *narrow), 2)
    ours = _forward_and_backward(f)(cotangent, *narrow)
    exact = _forward_and_backward(twin)(cotangent.astype(jnp.float64), *wide)
    ours = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), ours)
    errors["float32"], _ = relative_error(ours, exact)
    return errors


def _forward_and_backward(f: Callable[..., Array]) -> Callable[..., Any]:
    @jax.jit
    def both(cotangent, *arrays):
        y, pull = jax.vjp(f, *arrays)
        return y, pull(cotangent)

    return both


def milliseconds(
    functions: Sequence[Callable[..., Any]], arguments: Sequence[Any], repeats: int
) -> list[float]:
    """Median times of functions that take turns, after one run of each to compile it."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(repeats + 1):
        for function, series in zip(functions, times, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            if turn:
                series.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(series) for series in times]


def compare(op: Callable[..., Any], cases: Sequence[Case], options: Options) -> Row:
    """One line of the table."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)  # many small programs, run once
    try:
        found = [errors_of(case) for case in cases]
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
    errors = {
        column: max(error[column] for error in found if column in error) for column in TOLERANCES
    }
    formula = " ".join((inspect.getdoc(op) or "").split("\nSource:")[0].split())
    row = {"name": op.__name__, "formula": formula, "cases": len(cases), "errors": errors}
    if options.timing:
        large = LARGE[op]
        arrays = large.arrays(jnp.float32)
        pair = [large.function(), large.function(twin=True)]
        cotangent = random_like(jax.eval_shape(pair[0], *arrays), 2)
        row["residual_bytes"] = tuple(residual_bytes(f, arrays) for f in pair)
        row["milliseconds"] = tuple(
            milliseconds(
                [_forward_and_backward(f) for f in pair], (cotangent, *arrays), options.repeats
            )
        )
    return Row(**row)


def show(rows: Sequence[Row], timing: bool) -> None:
    """Print the table, and below it the formulas."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table(title="Hand-written rules against automatic differentiation", show_footer=True)
    table.add_column("operation", "at most", no_wrap=True)
    table.add_column("cases", justify="right")
    for column, bound in TOLERANCES.items():
        table.add_column(column, f"{bound:.0e}", justify="right", no_wrap=True)
    if timing:
        table.add_column("kept, kB", "ours / JAX", justify="right", no_wrap=True)
        table.add_column("time, ms", "ours / JAX", justify="right", no_wrap=True)
        table.add_column("ratio", justify="right")
    for row in rows:
        cells = [row.name, str(row.cases)]
        for column, error in row.errors.items():
            text = f"{error:.1e}"
            cells.append(f"[bold red]{text} ✗[/]" if column in row.failed else text)
        if row.residual_bytes and row.milliseconds:
            ours, theirs = row.residual_bytes
            cells.append(f"{ours / 1e3:.0f} / {theirs / 1e3:.0f}")
            ours, theirs = row.milliseconds
            cells += [f"{ours:.2f} / {theirs:.2f}", f"{ours / theirs:.2f}"]
        table.add_row(*cells)
    console.print(table)
    formulas = Table(title="Formulas", show_header=False, box=None)
    for row in rows:
        formulas.add_row(row.name, escape(row.formula))
    console.print(formulas)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; the exit code is 1 if a row exceeds a tolerance, 2 for a bad option."""
    import tyro

    options = tyro.cli(Options, args=arguments, description=__doc__)
    names = {op.__name__: op for op in LARGE}
    unknown = sorted(set(options.only) - set(names))
    if unknown:
        known = ", ".join(names)
        print(f"--only must name operations among {known}; got {unknown[0]}", file=sys.stderr)
        return 2
    if options.repeats < 1:
        print(f"--repeats must be at least 1, got {options.repeats}", file=sys.stderr)
        return 2
    jax.config.update("jax_enable_x64", True)
    rows = []
    for name, op in names.items():
        if not options.only or name in options.only:
            cases = [case for case in CASES if case.op is op]
            rows.append(compare(op, cases, options))
            print(f"{name} ({len(cases)} cases)", file=sys.stderr)
    show(rows, options.timing)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    failed = [f"{row.name}: {', '.join(row.failed)}" for row in rows if row.failed]
    print("all within tolerance" if not failed else "exceeded: " + "; ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    program.run(main)
