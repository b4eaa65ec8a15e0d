"""How far a run is, and what it shows of that: a bar on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

# Between two lines within an epoch.
SECONDS = 30.0


@dataclass
class Progress:
    """How far a run is: steps done, records of whole epochs, sums over the current one."""

    done: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """What a checkpoint keeps of it. NaN is left to Python's JSON, which knows it."""
        return {**vars(self), "records": list(self.records)}

    @property
    def best(self) -> float:
        """The best validation accuracy so far."""
        seen = (record["validation_accuracy"] for record in self.records)
        return max((accuracy for accuracy in seen if accuracy is not None), default=-math.inf)


class Report(Protocol):
    """What a run tells of itself."""

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch has ended, with this record."""
        ...

    def within(self, done: int, loss: float) -> None:
        """So many steps of the run are done, in the middle of an epoch; its loss so far."""
        ...


@contextmanager
def reporter(steps: int, epoch_steps: int, enabled: bool, begun: Progress) -> Iterator[Report]:
    """The report of a run of so many steps, some of which may be done."""
    if not enabled:
        yield _Nothing()
    elif sys.stdout.isatty():
        with _bar(steps, epoch_steps, begun) as report:
            yield report
    else:
        yield _Lines(steps, epoch_steps, begun)


class _Nothing:
    def epoch(self, record: dict[str, Any]) -> None:
        pass

    def within(self, done: int, loss: float) -> None:
        pass


class _Lines:
    """A line for each epoch, and now and then one in between, with the time that is left."""

    def __init__(self, steps: int, epoch_steps: int, begun: Progress):
        self.steps, self.epoch_steps = steps, epoch_steps
        self.epochs = -(-steps // epoch_steps)
        # Of this run and of those that it goes on with, by the records: compilation is not in it.
        self.seconds = sum(record["seconds"] for record in begun.records)
        self.part = begun.seconds  # of an epoch before it was broken off
        self.began = self.shown = time.monotonic()

    def epoch(self, record: dict[str, Any]) -> None:
        self.seconds, self.part = self.seconds + record["seconds"], 0.0
        left = (self.steps - record["step"]) * self.seconds / record["step"]
        print(
            f"epoch {record['epoch']:{len(str(self.epochs))}d}/{self.epochs}  {describe(record)}  "
            f"{record['seconds']:.2f} s{left_over(left)}",
            flush=True,
        )
        self.began = self.shown = time.monotonic()

    def within(self, done: int, loss: float) -> None:
        now = time.monotonic()
        if now - self.shown < SECONDS:
            return
        self.shown = now
        left = (self.steps - done) * (self.seconds + self.part + now - self.began) / done
        epoch, step = divmod(done, self.epoch_steps)
        print(
            f"epoch {epoch + 1}/{self.epochs}, step {step}/{self.epoch_steps}  loss {loss:.4f}"
            f"{left_over(left)}",
            flush=True,
        )


def left_over(seconds: float) -> str:
    """As in ", 3:05 left"; nothing where less than a minute is left."""
    if seconds < 60:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f", {hours}:{minutes:02}:{rest:02} left" if hours else f", {minutes}:{rest:02} left"


def describe(record: dict[str, Any]) -> str:
    """Loss and accuracies of an epoch."""
    text = f"loss {record['loss']:.4f}  accuracy {record['accuracy']:.4f}"
    if record["validation_accuracy"] is not None:
        text += f"  validation {record['validation_accuracy']:.4f}"
    return text


class _Bar:
    """Moves with the steps; says how the last epoch ended."""

    def __init__(self, progress: Any, task: Any, epochs: int, epoch_steps: int):
        self.progress, self.task = progress, task
        self.epochs, self.epoch_steps = epochs, epoch_steps

    def epoch(self, record: dict[str, Any]) -> None:
        self.progress.update(
            self.task,
            completed=record["step"],
            description=describe(record),
            epoch=min(record["epoch"] + 1, self.epochs),
        )

    def within(self, done: int, loss: float) -> None:
        self.progress.update(self.task, completed=done, epoch=done // self.epoch_steps + 1)


@contextmanager
def _bar(steps: int, epoch_steps: int, begun: Progress) -> Iterator[Report]:
    from rich import progress as rich

    epochs = -(-steps // epoch_steps)
    columns = (
        rich.TextColumn(f"epoch {{task.fields[epoch]}}/{epochs}"),
        rich.BarColumn(bar_width=None),
        rich.TextColumn("{task.description}"),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(compact=True),
    )
    now = min(len(begun.records) + 1, epochs)
    with rich.Progress(*columns, expand=True) as bar:
        task = bar.add_task("first epoch", total=steps, completed=begun.done, epoch=now)
        yield _Bar(bar, task, epochs, epoch_steps)
