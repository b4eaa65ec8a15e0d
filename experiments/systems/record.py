"""What the commands of the systems share: common options, a run folder, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from experiments import runs
from experiments.command_line.options import UserError
from experiments.systems.fit import Report, Settings


@dataclass(frozen=True)
class SystemOptions:
    """What every system can be told."""

    epochs: int = 20
    """Passes over the training examples."""
    batch_size: int = 64
    """Examples in a step; the last, partial batch of an epoch is dropped."""
    learning_rate: float = 2e-3
    """The highest one of the one-cycle schedule; the optimiser is Adam."""
    weight_decay: float = 0.0
    """Decay of the kernels, decoupled from the gradient."""
    seed: int = 0
    """Initial parameters, order of the examples, whatever is drawn for training."""
    run_dir: Path | None = None
    """Folder of this run's results; otherwise runs/<utc time>-<system>-s<seed>."""
    progress: bool = True
    """Print a line per epoch."""

    @property
    def settings(self) -> Settings:
        """For `fit`."""
        return Settings(self.epochs, self.batch_size, self.learning_rate, self.weight_decay)


@dataclass(frozen=True)
class DigitOptions(SystemOptions):
    """And a system that looks at digits."""

    dataset: Literal["mnist5k", "mnist"] = "mnist5k"
    """mnist5k needs no download; mnist is TFDS's."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data."""
    manual_dir: Path | None = None
    """Folder of original files, from which TFDS prepares the data without a network."""


Options = TypeVar("Options", bound=SystemOptions)


def run(
    name: str,
    options_type: type[Options],
    work: Callable[[Options], Path],
    arguments: Sequence[str] | None,
) -> int:
    """The command line around work(options), which returns what to print last: a path.

    Exit codes: 0; 1 when the loss is no longer a number; 2 for a mistake in the options or the
    data, told in one sentence; 130 when interrupted.
    """
    import tyro

    options = tyro.cli(
        options_type,
        args=arguments,
        prog=f"python -m experiments.{name}",
        description=options_type.__doc__,
    )
    try:
        _check(options)
        path = work(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"{error}: try a lower --learning-rate.".capitalize(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    print(path)
    return 0


def _check(options: SystemOptions) -> None:
    for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
        if (value := getattr(options, name)) < least:
            raise UserError(f"--{name.replace('_', '-')} must be at least {least}, got {value}.")
    if not 0 < options.learning_rate < float("inf"):
        raise UserError(f"--learning-rate must be a positive number, got {options.learning_rate}.")
    if not 0 <= options.weight_decay < float("inf"):
        raise UserError(f"--weight-decay must be zero or positive, got {options.weight_decay}.")


def check_batch(options: SystemOptions, examples: int) -> None:
    """Refuse a batch that is larger than the training set."""
    if options.batch_size > examples:
        raise UserError(
            f"--batch-size must be at most the {examples} training examples, "
            f"got {options.batch_size}."
        )


def open_folder(name: str, options: SystemOptions) -> Path:
    """The run folder, with options and versions in it."""
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = options.run_dir or Path("runs") / f"{time}-{name}-s{options.seed}"
    runs.create(folder.expanduser(), cast(Any, options))
    return folder.expanduser()


def reporter(folder: Path, options: SystemOptions, **more: int) -> Report:
    """Put down the loss of every epoch, and print it where that is wanted.

    more: what else a record says, such as the seed where a command trains with several.
    """

    def report(epoch: int, loss: float, seconds: float) -> None:
        record = {**more, "epoch": epoch, "loss": loss, "seconds": round(seconds, 3)}
        runs.append_metrics(folder, record)
        if options.progress:
            width = len(str(options.epochs))
            print(
                f"epoch {epoch:{width}d}/{options.epochs}  loss {loss:.4f}  {seconds:.2f} s",
                flush=True,
            )

    return report
