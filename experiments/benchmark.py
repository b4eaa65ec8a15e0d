"""Question: how fast is jaxcnn, compared with jax.grad, with Flax and with PyTorch?

Command:  python -m experiments.benchmark --check
Result:   time of one call of every row (operations forward and backward, training steps, scanned
          epochs, batch and image sizes) by every peer, with paired ratios, compile time, memory
          and the fraction of a large matmul's FLOP/s; tables, results.json, benchmark.png,
          scaling.png. With --check the exit code is 1 if a committed bar is exceeded.
Time:     about 70 minutes on 2 CPU cores; `--quick` a few minutes, for a first impression.

The peers on JAX share a process, where each finds the same memory; PyTorch has one of its own; both
are pinned to the same processors. Samples take turns, in alternating order; ratios are taken round
by round. Leave the machine alone meanwhile: the report says when something else ran.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.benchmarks import bars, peers, report, rows
from experiments.benchmarks.measure import EndedError, measure, started, wait_until_idle
from experiments.benchmarks.results import Results, RowResult, read
from experiments.command_line import program
from experiments.command_line.options import UserError

SETTINGS = (
    "rows", "peers", "python", "pairs", "threads", "platform", "precision", "sample_ms", "quick",
    "apart",
)  # fmt: skip
"""What decides how a row is measured."""


@dataclass(frozen=True)
class Options:
    """Time jaxcnn against its peers."""

    rows: tuple[str, ...] = ("*",)
    """Patterns of rows, such as 'conv3x3/*/all' or 'step/*'; see --list."""
    peers: tuple[str, ...] = peers.DEFAULT_PEERS
    """jaxcnn, jaxcnn-default, autodiff, autodiff-options, flax, torch, torch-compile; one named
    twice is compared with itself. jaxcnn@PATH is that of another checkout, in processes of its own,
    and shown beside itself. Those that are not installed are skipped."""
    python: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """PEER=PATH: the interpreter of one of the peers, with the packages that it has; as often as
    needed. jaxcnn@. is this checkout once more, for another interpreter."""
    pairs: int = 25
    """Rounds, in each of which every peer is timed once; slow rows have fewer of their own."""
    threads: int | None = None
    """Processors that every peer is pinned to; by default all that there are."""
    platform: Literal["cpu", "gpu"] = "cpu"
    """Where the peers compute."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Dtype of arrays and parameters."""
    sample_ms: float = 10.0
    """A sample repeats the call until it lasts about so long."""
    quick: bool = False
    """One row of each group and part, 5 pairs at most."""
    apart: bool = False
    """A process for each peer. One that is compared with itself shows what that does to times."""
    idle_seconds: float = 60.0
    """How long to wait for other programs to end before the first row."""
    out: Path | None = None
    """Folder for results.json and the plots; otherwise runs/<utc time>-benchmark."""
    resume: Path | None = None
    """Folder of a run that was interrupted: the rows that it lacks are measured, as it was asked
    to, by the same versions on the same machine."""
    forms: bool = False
    """Instead of rows and peers: each form of a convolution or a pooling against the plain one, on
    both sides of every threshold."""
    check: bool = False
    """Whether to fail when a bar is exceeded or a peer's program fails."""
    read: Path | None = None
    """Measure nothing: report results.json of an earlier run."""
    list: bool = False
    """Measure nothing: print the rows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 1 if a bar is exceeded, 2 for a mistake in an option."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    try:
        if options.list:
            for row in rows.select(options.rows, quick=options.quick):
                print(f"{row.name}  ({row.group})")
            return 0
        if options.forms:
            options = replace(options, rows=("forms/*",), peers=("form", "plain"))
        results = read(options.read) if options.read is not None else run(options)
    except (UserError, ValueError, EndedError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return conclude(results, options)


def conclude(results: Results, options: Options) -> int:
    """Print the tables and what became of the bars."""
    found = bars.verdicts(results)
    report.show(results, found)
    exceeded = [verdict for verdict in found if not verdict.holds]
    failed = [f"{row.name}, {name}" for row in results.rows for name in row.failed]
    for verdict in exceeded:
        print(f"above its bar: {verdict}")
    print(
        f"{len(found) - len(exceeded)} of {len(found)} bars hold"
        + (f"; {len(failed)} programs failed" if failed else "")
    )
    return 1 if options.check and (exceeded or failed) else 0


def run(options: Options) -> Results:
    """Measure the chosen rows.

    Raises:
        UserError, ValueError: an option makes no sense.
    """
    earlier = None
    if options.resume is not None:
        earlier = read(options.resume / "results.json", "--resume")
        asked = {name: earlier.options[name] for name in SETTINGS}
        options = replace(
            options, **{n: tuple(v) if isinstance(v, list) else v for n, v in asked.items()}
        )
    chosen = rows.select(options.rows, quick=options.quick)
    if rows.PEAK not in chosen and not any(row.group == "peak" for row in chosen):
        smoke = all(row.name.startswith("smoke") for row in chosen)
        chosen = [*rows.SMOKE[:1], *chosen] if smoke else [rows.PEAK, *chosen]
    available = cores()
    threads = available if options.threads is None else options.threads
    if not 1 <= threads <= available:
        raise UserError(f"--threads must be from 1 to {available}, got {threads}.")
    if options.pairs < 1:
        raise UserError(f"--pairs must be at least 1, got {options.pairs}.")
    if options.check and (options.quick or options.pairs < bars.PAIRS):
        raise UserError(f"--check needs --pairs of at least {bars.PAIRS}, and not --quick.")
    for name, value in bars.HOLD.items():
        if options.check and getattr(options, name) != value:
            raise UserError(
                f"--check needs --{name} {value}, for which the bars were set, "
                f"got {getattr(options, name)}."
            )
    if not 0 < options.sample_ms < 1e5:
        raise UserError(f"--sample-ms must be a positive number, got {options.sample_ms}.")
    everyone = peers.named(options.peers, options.python)
    skipped = {n: f"needs {', '.join(m)}" for n, p in everyone.items() if (m := peers.missing(p))}
    for name, reason in skipped.items():
        say(f"skipped: {name} ({reason})")
    present = {name: peer for name, peer in everyone.items() if name not in skipped}
    if not present:
        raise UserError("--peers must name a peer that is installed, got none.")
    folder = options.resume or output_folder(options)
    if options.platform == "cpu" and not wait_until_idle(options.idle_seconds, say):
        say("other programs are still running: the times will not be worth much")
    pairs = min(options.pairs, 5) if options.quick else options.pairs
    groups = peers.together(present, options.apart)
    with started(groups, threads, options.platform, options.precision) as processes:
        results = Results(
            options={**asdict(options), "threads": threads},
            versions={name: p.about for p in processes for name in p.peers},
            machine=machine(),
            skipped=skipped,
            rows=[],
        )
        if earlier is not None:
            refuse_another(earlier, results)
            results = earlier
        measured = {row.name for row in results.rows}
        for number, row in enumerate(chosen, 1):
            if row.name in measured:
                continue
            start = time.perf_counter()
            found = measure(row, processes, pairs, 1e-3 * options.sample_ms, options.precision)
            results.rows.append(found)
            seconds = time.perf_counter() - start
            say(f"{number}/{len(chosen)} {row.name}: {_line(found)} ({seconds:.0f} s)")
            results.write(folder / "results.json")  # what is there survives an interruption
    from experiments.benchmarks.plot import save_plot, save_scaling

    save_plot(folder / "benchmark.png", results)
    save_scaling(folder / "scaling.png", results)
    say(f"written to {folder}")
    return results


def refuse_another(earlier: Results, now: Results) -> None:
    """Rows of other versions or of another machine do not belong in one table.

    Raises:
        UserError: those of the interrupted run are not those of this one.
    """
    same = ("platform", "processor", "cores", "xla_flags")
    pairs: dict[str, Any] = {
        "machine": [{name: run.machine.get(name) for name in same} for run in (earlier, now)],
        "peers": [sorted(run.versions) for run in (earlier, now)],
    }
    for name in now.versions.keys() & earlier.versions.keys():
        pairs[name] = [run.versions[name] for run in (earlier, now)]
    for name, (before, after) in pairs.items():
        if before != after:
            raise UserError(f"--resume must be a run of the same {name}, {after}, got {before}.")


def say(text: str) -> None:
    """Progress goes to standard error."""
    print(text, file=sys.stderr, flush=True)


def _line(row: RowResult) -> str:
    times = {name: row.milliseconds(name) for name in row.seconds}
    return ", ".join(f"{name} {time.median:.3g}" for name, time in times.items() if time) + " ms"


def output_folder(options: Options) -> Path:
    """The folder asked for, or runs/<utc time>-benchmark; made if need be.

    Raises:
        UserError: it cannot be written, or is in use.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = (options.out or Path("runs") / f"{stamp}-benchmark").expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"--out must be an empty or a new folder, got {folder}.")
    except OSError as error:
        raise UserError(f"--out must be a folder to write to, got {folder} ({error}).") from error
    return folder


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """The hardware, as far as the system tells."""
    model = None
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((ln.partition(":")[2].strip() for ln in lines if "model name" in ln), None)
    except OSError:
        pass
    return {
        "platform": platform.platform(),
        "processor": model or platform.processor(),
        "cores": cores(),
        "xla_flags": os.environ.get("XLA_FLAGS"),
        "memory": "kept" if program.keeping() else "as the environment has it",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    program.run(main)
