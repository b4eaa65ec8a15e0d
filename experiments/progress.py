"""What a run shows while it trains: a bar on a terminal, a line per epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Report = Callable[[dict[str, Any]], None]


@contextmanager
def reporter(epochs: int, enabled: bool, done: Sequence[dict[str, Any]] = ()) -> Iterator[Report]:
    """report(record), to be called with the record of each epoch; `done` are those before."""
    if not enabled:
        yield lambda record: None
    elif sys.stdout.isatty():
        with _bar(epochs, len(done)) as report:
            yield report
    else:
        yield _lines(epochs, [record["seconds"] for record in done])


def _lines(epochs: int, seconds: list[float]) -> Report:
    """A line for each epoch, with the time that is left by the average of all so far."""

    def report(record: dict[str, Any]) -> None:
        seconds.append(record["seconds"])
        left = (epochs - record["epoch"]) * sum(seconds) / len(seconds)
        print(
            f"epoch {record['epoch']:{len(str(epochs))}d}/{epochs}  {_describe(record)}  "
            f"{record['seconds']:.2f} s{_left(left)}",
            flush=True,
        )

    return report


def _left(seconds: float) -> str:
    """As in ", 3:05 left"; nothing where less than a minute is left."""
    if seconds < 60:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f", {hours}:{minutes:02}:{rest:02} left" if hours else f", {minutes}:{rest:02} left"


def _describe(record: dict[str, Any]) -> str:
    text = f"loss {record['loss']:.4f}  accuracy {record['accuracy']:.4f}"
    if record["validation_accuracy"] is not None:
        text += f"  validation {record['validation_accuracy']:.4f}"
    return text


@contextmanager
def _bar(epochs: int, done: int) -> Iterator[Report]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(bar_width=None),
        TextColumn("{task.description}"),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, expand=True) as progress:
        task = progress.add_task("first epoch", total=epochs, completed=done)
        yield lambda record: progress.update(task, advance=1, description=_describe(record))
