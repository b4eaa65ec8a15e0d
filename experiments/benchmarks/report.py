"""The tables of a run."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.benchmarks import bars, forms
from experiments.benchmarks.bars import Verdict
from experiments.benchmarks.peers import comparisons, revisions
from experiments.benchmarks.results import Results, RowResult, Spread, geometric_mean, spread


def present(results: Results) -> list[str]:
    """The peers that timed anything, in the order they were asked for."""
    return [name for name in results.versions if any(name in row.seconds for row in results.rows)]


def show(results: Results, verdicts: Sequence[Verdict]) -> None:
    """Print everything."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200)
    tables = (_times(results), _ratios(results, verdicts), _means(results), _static(results))
    for table in (*tables, _batches(results), *_forms(results)):
        if table.row_count and len(table.columns) > 1:
            console.print(table)
    _show_notes(results, console)


def _table(title: str, caption: str | None = None) -> Any:
    from rich.table import Table

    return Table(title=title, caption=caption, caption_justify="left")


def _times(results: Results) -> Any:
    names = present(results)
    table = _table(
        "Time of one call, ms",
        "Medians. peak: FLOP/s of the first column over those of a large matmul.",
    )
    table.add_column("row", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("peak", justify="right", no_wrap=True)
    for row in results.rows:
        if row.seconds:
            fraction = results.fraction_of_peak(row, names[0])
            cells = [row.name, *(_number(row.milliseconds(name)) for name in names)]
            table.add_row(*cells, "" if fraction is None else f"{fraction:.0%}")
    return table


def _ratios(results: Results, verdicts: Sequence[Verdict]) -> Any:
    pairs = list(comparisons(present(results)))
    table = _table(
        "Ratios of times",
        "Median of the paired ratios, quartiles; below 1 the first is faster; ✗ above its bar.",
    )
    table.add_column("row", no_wrap=True)
    for ours, theirs in pairs:
        table.add_column(f"{ours}\n÷ {theirs}", justify="right", no_wrap=True)
    short = {(v.where, v.ours, v.theirs) for v in verdicts if v.what == "time" and not v.holds}
    for row in results.rows:
        cells = []
        for ours, theirs in pairs:
            text = _ratio(row.ratio(ours, theirs))
            cells.append(f"[bold red]✗ {text}[/]" if (row.name, ours, theirs) in short else text)
        if any(cells):
            table.add_row(row.name, *cells)
    return table


def _number(time: Spread | None) -> str:
    return "" if time is None else f"{time.median:.3g}"


def _ratio(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


def _means(results: Results) -> Any:
    table = _table("Geometric means of the ratios", "each: the worst row, and the bar for each")
    for column in ("group", "ratio", "mean", "bar", "goal", "worst", "each"):
        table.add_column(column, justify="left" if column in ("group", "ratio") else "right")
    for bar in bars.BARS:
        mean = bars.mean_ratio(results, bar)
        if mean is None:
            continue
        worst = max(
            ratio.median
            for row in results.rows
            if bars.bar_of(row, bar.ours, bar.theirs) is bar
            and (ratio := row.ratio(bar.ours, bar.theirs)) is not None
        )
        bounds = ["" if b is None else f"{b:g}" for b in (bar.mean, bar.goal, bar.each)]
        group = f"{'others' if bar.group == '*' else bar.group}/{bar.part}"
        cells = [group, f"{bar.ours} ÷ {bar.theirs}", f"{mean:.2f}", bounds[0], bounds[1]]
        table.add_row(*cells, f"{worst:.2f}", bounds[2])
    return table


def _static(results: Results) -> Any:
    """Compile time and memory of the training steps."""
    table = _table(
        "Compile time and memory",
        "s: trace, lower and compile, median. MB: temporaries by XLA's own account, and what the "
        "backward pass keeps besides the cotangent.",
    )
    for column in ("row", "peer", "compile, s", "temporaries, MB", "residuals, MB"):
        table.add_column(column, justify="right" if "," in column else "left", no_wrap=True)
    for row in results.rows:
        if row.compile_seconds:
            for name in row.compile_seconds:
                table.add_row(row.name, name, *_memory(row, name))
    return table


def _memory(row: RowResult, name: str) -> list[str]:
    compiled = row.compile_seconds.get(name)
    seconds = f"{spread([c['total'] for c in compiled]).median:.2f}" if compiled else ""
    temporaries = row.memory.get(name, {}).get("temporaries")
    residuals = row.residual_bytes.get(name)
    return [seconds, *("" if b is None else f"{b / 1e6:.1f}" for b in (temporaries, residuals))]


def _batches(results: Results) -> Any:
    table = _table("Time per image, µs, against batch size and image size")
    names = present(results)
    table.add_column("row", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    for row in results.rows:
        if row.group in ("batch", "size", "epoch", "epoch-ours") and row.images:
            times = [row.milliseconds(name) for name in names]
            cells = ["" if t is None else f"{1e3 * t.median / row.images:.4g}" for t in times]
            table.add_row(row.name, *cells)
    return table


def _forms(results: Results) -> Iterator[Any]:
    """What each form gains, on both sides of its thresholds and on the whole."""
    ratios = {
        row.name: ratio.median
        for row in results.rows
        if row.group == "forms" and (ratio := row.ratio("form", "plain")) is not None
    }
    if not ratios:
        return
    sides = {row.name: forms.taken(row) for row in forms.FORMS if row.name in ratios}

    def shown(name: str) -> str:
        return f"{ratios[name]:.2f}{' taken' * sides[name]}" if name in ratios else ""

    table = _table("Each form ÷ plain, where what is counted is no larger, and where it is")
    for column in ("threshold", "form", "no larger", "larger", "found"):
        table.add_column(column)
    for name, threshold in forms.thresholds().items():
        where = f"{name} = {threshold:d} {threshold.unit}"
        cells = threshold.form, shown(threshold.below), shown(threshold.above)
        table.add_row(where, *cells, threshold.measured)
    yield table
    table = _table("Each form ÷ plain where it is taken", "Below 0.9 it earns its place.")
    for column in ("form", "geometric mean", "rows"):
        table.add_column(column)
    for form in dict.fromkeys(row.form for row in forms.FORMS):
        own = [ratios[r.name] for r in forms.FORMS if r.form == form and sides.get(r.name)]
        if own:
            table.add_row(form, f"{geometric_mean(own):.2f}", str(len(own)))
    yield table


def notes(results: Results) -> list[str]:
    """What is missing, what broke, and whether the machine was quiet."""
    lines = _versions(results)
    lines += [f"skipped: {name} ({reason})" for name, reason in results.skipped.items()]
    seen: set[str] = set()
    for row in results.rows:
        for name, reason in row.absent.items():
            text = f"{name} left out: {reason}"
            if reason not in ("not asked", "networks only") and text not in seen:
                seen.add(text)
                lines.append(text)
    for row in results.rows:
        lines += [f"failed: {row.name}, {name}: {why}" for name, why in row.failed.items()]
    loud = [row for row in results.rows if (row.foreign_cpu or 0) > 0.15]
    if loud:
        lines.append(
            f"other programs used more than 15 % of a processor in {len(loud)} of "
            f"{len(results.rows)} rows: these numbers are not to be trusted"
        )
    idle = max((sum(row.idle_cpu.values()) for row in results.rows), default=0.0)
    lines.append(f"processor time of waiting peers: at most {idle:.2f} s in a row")
    for part in ("forward", "all"):
        lines += _fourier_pays(results, part)
    for ours, theirs in revisions(present(results)):
        for pair in ((ours, theirs), (f"{theirs}#2", theirs)):
            if (mean := bars.mean_step(results, *pair)) is not None:
                lines.append(f"geometric mean over step/*, {' ÷ '.join(pair)}: {mean:.3f}")
    if (peak := results.peak()) is not None:
        lines.append(f"peak of a large matmul: {peak / 1e9:.0f} GFLOP/s")
    return lines


def _versions(results: Results) -> list[str]:
    """What ran the peers, those of the same versions together."""
    shown = {"python": "Python", "jax": "jax", "torch": "PyTorch"}
    alike: dict[str, list[str]] = {}
    for name, about in results.versions.items():
        of = [f"{what} {about[key]}" for key, what in shown.items() if about.get(key)]
        alike.setdefault(", ".join(of), []).append(name)
    return [f"{', '.join(names)}: {of}" for of, names in alike.items() if of]


def _fourier_pays(results: Results, part: str) -> list[str]:
    """From which size of the kernels on they are faster; nothing where that was not measured."""
    ratios = {}
    for row in results.rows:
        ratio = row.ratio("jaxcnn-fft", "jaxcnn")
        if row.group == "fft" and row.part == part and ratio is not None:
            ratios[int(row.name.split("/")[1].rpartition("x")[2])] = ratio.median
    if not ratios:
        return []
    slower = [k for k, ratio in ratios.items() if ratio >= 1]
    faster = [k for k in ratios if k > max(slower, default=0)]
    size = f"from {min(faster)}×{min(faster)} on" if faster else "at no size"
    return [f"Fourier transforms pay, {part}: {size}"]


def _show_notes(results: Results, console: Any) -> None:
    for line in notes(results):
        console.print(line, highlight=False, markup=False)
