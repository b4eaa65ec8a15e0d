"""The loop around training: segments of steps, records, checkpoints, and every reason to stop."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import runs
from experiments.command_line.options import TrainOptions, command_to_go_on
from experiments.command_line.progress import Progress, Report
from experiments.runs import epochs
from experiments.runs.checkpoints import Checkpoints
from experiments.runs.metrics import Events
from experiments.training import (
    Looped,
    Recipe,
    Segment,
    TrainState,
    evaluated,
    segments,
    usual_segment,
)
from experiments.training.devices import any_of, everywhere, primary
from experiments.training.diagnosis import first_bad, make_comparison
from experiments.training.epoch import Advance
from experiments.training.material import Judge
from experiments.training.precision import LOWEST, all_finite
from experiments.training.schedules import plateau_factor, rate_at


class DivergedError(RuntimeError):
    """The loss is no longer a number, or a gradient no longer the right one."""


class StoppedError(RuntimeError):
    """Someone asked the run to stop; its state is saved."""


@dataclass
class Loop:
    """One run: what does not change while it trains."""

    options: TrainOptions
    recipe: Recipe
    advance: Advance
    key: Any
    steps: int
    epoch_steps: int
    folder: Path
    checkpoints: Checkpoints
    judge: Judge | None
    events: Events

    def run(self, state: TrainState, progress: Progress, report: Report) -> TrainState:
        """Train to the end.

        Raises:
            DivergedError: a number is no longer finite, or the rules disagree with autodiff.
            StoppedError: after Ctrl-C or SIGTERM, with the state saved.
            CheckpointError: a checkpoint cannot be written.
        """
        compare, checked, finite = None, -1, jax.jit(all_finite)
        saved, best = time.monotonic(), None
        if progress.done == 0:
            self._keep(0, state)
        with stop_requests() as requested:
            longest = longest_segment(self.options, self.epoch_steps)
            for segment in segments(self.steps, self.epoch_steps, progress.done, longest):
                every = self.options.safety.check_gradients
                if every is not None and progress.done // every > checked:
                    checked = progress.done // every
                    looped = self._looped()
                    compare = compare or make_comparison(looped, state)
                    self._compare(compare(state, segment.epoch, segment.first), progress.done)
                before, before_best = jax.tree.map(jnp.copy, state), progress.best
                start = time.perf_counter()
                state, metrics = self.advance(state, segment)
                progress.done += segment.count
                progress.loss += float(np.sum(metrics.loss, dtype=np.float64))
                progress.correct += int(np.sum(metrics.correct))
                ended = progress.done % self.epoch_steps == 0 or progress.done == self.steps
                accuracy = None
                good = math.isfinite(progress.loss) and bool(finite(state))
                if not good or _stuck(before, state):
                    self._fail(before, segment, progress, np.asarray(metrics.loss))
                if ended:
                    state, accuracy = self._end_epoch(state, segment, progress, start, report)
                else:
                    progress.seconds += time.perf_counter() - start
                    report.within(progress.done, progress.loss / (segment.first + segment.count))
                stopping = any_of(bool(requested))
                if accuracy is not None and accuracy > before_best:
                    # Not written at once: early in a run almost every epoch is the best.
                    kept = jax.tree.map(jnp.copy, state)
                    best = progress.done, kept, progress.as_json(), accuracy
                if self._save_due(saved, stopping, progress.done):
                    if best is not None and best[0] != progress.done:
                        self.checkpoints.save(*best)
                    self.checkpoints.save(progress.done, state, progress.as_json(), accuracy)
                    saved, best = time.monotonic(), None
                if stopping and progress.done < self.steps:
                    raise StoppedError(
                        f"Stopped after step {progress.done} of {self.steps}, which is saved; go "
                        f"on with: {command_to_go_on(self.folder, self.options)}"
                    )
        return state

    def _keep(self, epoch: int, state: TrainState) -> None:
        """Keep the parameters of an epoch that is due, for who looks at the run afterwards."""
        every = self.options.safety.keep_every
        if every is not None and epoch % every == 0:
            epochs.keep(self.folder, epoch, *evaluated(state, self.recipe.averaging))

    def _save_due(self, saved: float, stopping: bool, done: int) -> bool:
        """Whether to write a checkpoint now."""
        old = time.monotonic() - saved >= self.options.safety.checkpoint_seconds
        return any_of(stopping or done == self.steps or old)

    def _end_epoch(
        self,
        state: TrainState,
        segment: Segment,
        progress: Progress,
        start: float,
        report: Report,
    ) -> tuple[TrainState, float | None]:
        """Write the record of an epoch, and lower the rate where the plateau asks for it."""
        count = segment.first + segment.count
        accuracy = top_5 = None
        if self.judge is not None:
            found = self.judge(*evaluated(state, self.recipe.averaging))
            accuracy, top_5 = found.accuracy, found.top_5
        rate = 0.0 if self.recipe.rate is None else rate_at(self.recipe.rate, progress.done - 1)
        if state.factor is not None:
            rate *= float(state.factor)
        record = {
            "epoch": segment.epoch,
            "step": progress.done,
            "loss": progress.loss / count,
            "accuracy": progress.correct / (count * self.recipe.batch_size),
            "validation_accuracy": accuracy,
            "learning_rate": rate,  # in the epoch's last step
            "seconds": progress.seconds + time.perf_counter() - start,
        }
        if top_5 is not None:
            record["validation_top_5_accuracy"] = top_5
        progress.records.append(record)
        progress.loss, progress.correct, progress.seconds = 0.0, 0, 0.0
        if primary():
            runs.append_metrics(self.folder, record)
            self.events.write(record)
            report.epoch(record)
        self._keep(segment.epoch, state)
        if state.factor is not None:
            seen = [r["validation_accuracy"] for r in progress.records]
            about = self.options.optimisation
            factor = plateau_factor(seen, about.decay, about.patience)
            placed = everywhere(self.recipe.mesh, np.float32(factor))
            state = state._replace(factor=placed)
        return state, accuracy

    def _looped(self) -> Looped:
        if isinstance(self.advance, Looped):
            return self.advance
        return Looped(self.recipe, self.advance.batches, self.key)

    def _compare(self, found: Any, step: int) -> None:
        """Write how far the rules are from autodiff; stop where that is too far."""
        if primary():
            comparison = {"step": step, "gradient_error": found.error, "parameter": found.where}
            with (self.folder / "gradients.jsonl").open("a", encoding="utf-8") as lines:
                lines.write(runs.metrics_line(comparison))
        if not found.error <= found.tolerance:
            raise DivergedError(
                f"At step {step} the gradient of {found.where} by the rules differs from "
                f"autodiff's by {found.error:.1e}, more than {found.tolerance:.0e}."
            )

    def _fail(
        self,
        before: TrainState,
        segment: Segment,
        progress: Progress,
        losses: np.ndarray,
    ) -> None:
        """Say which number of which step was the first that is not finite."""
        record = {
            "epoch": segment.epoch,
            "step": progress.done,
            "loss": math.nan,
            "accuracy": None,
            "validation_accuracy": None,
            "learning_rate": None,
            "seconds": progress.seconds,
        }
        if primary():
            runs.append_metrics(self.folder, record)
        bad = first_bad(self._looped(), before, segment)
        found = losses[~np.isfinite(losses)]
        what = f"The loss became {found[0]}" if found.size else "Numbers became infinite"
        where = f"in epoch {segment.epoch}"
        if bad is not None:
            step = (bad.epoch - 1) * self.epoch_steps + bad.index + 1
            where = f"{where}; in step {step} {bad.sentence}"
        raise DivergedError(
            f"{what} {where}: try a lower --learning-rate than "
            f"{self.options.optimisation.learning_rate}."
        )


def _stuck(before: TrainState, after: TrainState) -> bool:
    """Whether a step was left out for its gradients although the loss was no longer scaled."""
    if before.scale is None or after.scale is None:
        return False
    unscaled = float(before.scale.scale) == LOWEST == float(after.scale.scale)
    return unscaled and int(after.scale.steps) == 0


def longest_segment(options: TrainOptions, epoch_steps: int) -> int:
    """Steps from one look at the run to the next."""
    chosen = options.safety.segment or usual_segment(epoch_steps)
    return min(chosen, epoch_steps, options.safety.check_gradients or epoch_steps)


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that fills when someone asks the program to stop; the second time it stops at once."""
    found: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield found
        return

    def note(number, frame):
        if found:
            raise KeyboardInterrupt
        found.append(number)
        print(
            "Stopping at the end of these steps; once more to stop at once.",
            file=sys.stderr,
            flush=True,
        )

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield found
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
