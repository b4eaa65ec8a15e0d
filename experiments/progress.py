"""What a run shows while it trains: a bar on a terminal, a line per epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[dict[str, Any]], None]


@contextmanager
def reporter(epochs: int, enabled: bool) -> Iterator[Report]:
    """report(record), to be called with the record of each epoch."""
    if not enabled:
        yield lambda record: None
    elif sys.stdout.isatty():
        with _bar(epochs) as report:
            yield report
    else:
        yield lambda record: print(
            f"epoch {record['epoch']:{len(str(epochs))}d}/{epochs}  {_describe(record)}  "
            f"{record['seconds']:.2f} s",
            flush=True,
        )


def _describe(record: dict[str, Any]) -> str:
    text = f"loss {record['loss']:.4f}  accuracy {record['accuracy']:.4f}"
    if record["validation_accuracy"] is not None:
        text += f"  validation {record['validation_accuracy']:.4f}"
    return text


@contextmanager
def _bar(epochs: int) -> Iterator[Report]:
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
        task = progress.add_task("first epoch", total=epochs)
        yield lambda record: progress.update(task, advance=1, description=_describe(record))
