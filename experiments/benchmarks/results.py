"""What was measured, as dataclasses that go to JSON and back, and the statistics of it."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 2


class Spread(NamedTuple):
    """Median and quartiles."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median, lower and upper quartile; of one value thrice that value."""
    if len(values) < 2:
        return Spread(*[values[0]] * 3)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def geometric_mean(values: Sequence[float]) -> float:
    """exp(mean(log))."""
    return math.exp(statistics.fmean(map(math.log, values)))


@dataclass
class RowResult:
    """One row: entries by peer, samples in the order of the rounds."""

    name: str
    group: str
    part: str
    images: int | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Of one call; entry i of every peer belongs to the same round."""
    calls: dict[str, int] = field(default_factory=dict)
    """In a sample."""
    compile_seconds: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    memory: dict[str, dict[str, int]] = field(default_factory=dict)
    residual_bytes: dict[str, int] = field(default_factory=dict)
    flop: int | None = None
    absent: dict[str, str] = field(default_factory=dict)
    """Who cannot compute the row, and why."""
    failed: dict[str, str] = field(default_factory=dict)
    """Whose program broke, or computes something else than the first."""
    idle_cpu: dict[str, float] = field(default_factory=dict)
    """Processor seconds that the peer's process spent between samples: should be near zero."""
    foreign_cpu: float | None = None
    """Processors kept busy by anything but the benchmark, on average: should be near zero."""

    def ratio(self, ours: str, theirs: str) -> Spread | None:
        """Time of ours over time of theirs, round by round; None where one is missing."""
        if ours not in self.seconds or theirs not in self.seconds:
            return None
        pairs = zip(self.seconds[ours], self.seconds[theirs], strict=True)
        return spread([a / b for a, b in pairs])

    def milliseconds(self, peer: str) -> Spread | None:
        """Of one call."""
        if peer not in self.seconds:
            return None
        return spread([1e3 * seconds for seconds in self.seconds[peer]])

    def compile_ratio(self, ours: str, theirs: str) -> Spread | None:
        """Time to trace, lower and compile."""
        if not (self.compile_seconds.get(ours) and self.compile_seconds.get(theirs)):
            return None
        pairs = zip(self.compile_seconds[ours], self.compile_seconds[theirs], strict=True)
        return spread([a["total"] / b["total"] for a, b in pairs])

    def memory_ratio(self, ours: str, theirs: str) -> float | None:
        """Temporaries by XLA's own account."""
        if ours not in self.memory or theirs not in self.memory:
            return None
        a, b = self.memory[ours]["temporaries"], self.memory[theirs]["temporaries"]
        return a / b if b else (1.0 if a == 0 else math.inf)


@dataclass
class Results:
    """A whole run."""

    options: dict[str, Any]
    versions: dict[str, dict[str, Any]]
    """By peer."""
    machine: dict[str, Any]
    skipped: dict[str, str]
    """Peers that are not installed."""
    rows: list[RowResult]
    schema: int = SCHEMA

    def peak(self) -> float | None:
        """The largest FLOP/s that any peer reached in the matmul of this run."""
        found = [
            row.flop / spread(series).median
            for row in self.rows
            if row.group == "peak" and row.flop
            for series in row.seconds.values()
        ]
        return max(found, default=None)

    def fraction_of_peak(self, row: RowResult, peer: str) -> float | None:
        """FLOP/s of this row over the peak's; None for rows without convolution or matmul."""
        peak, time = self.peak(), row.milliseconds(peer)
        if not (peak and time and row.flop):
            return None
        return row.flop / (1e-3 * time.median) / peak

    def write(self, path: Path) -> None:
        """As JSON; an interruption leaves what was there before."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1, default=str) + "\n", encoding="utf-8")
        new.replace(path)


def read(path: Path, option: str = "--read") -> Results:
    """What `Results.write` wrote.

    option: whose value the path is.

    Raises:
        ValueError: the file is no such thing.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        schema = values["schema"]
        rows = [RowResult(**row) for row in values.pop("rows")]
        results = Results(**values, rows=rows)
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{option} must be results of a benchmark, got {path} ({error})"
        ) from error
    if schema != SCHEMA:
        raise ValueError(f"{option} must be results of schema {SCHEMA}, got {schema} in {path}")
    return results
