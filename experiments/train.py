"""Question: how well does LeNet-5 read digits when every gradient is written by hand?

Command:  python -m experiments.train           (--help lists presets and options)
Result:   test accuracy 98.70 % ± 0.19 (mean ± std, 5 seeds, 0 to 4), the worst 98.50 %
Time:     30 s, of which compilation 4 s, training 16 s (longer while other work runs beside it)
Hardware: 2 cores of an AMD EPYC (AVX2), float32, jax 0.10.2

Trains on 3,600 of MNIST's images (mnist5k; 400 more are held out, 1,000 are for testing), looks at
the test images once, after the last epoch, and prints `test accuracy` as its last line. All else is
in the run folder: options, versions, metrics of each epoch, checkpoints, parameters, pictures.

`python -m experiments.train <preset>` trains by another published recipe; `--resume FOLDER` goes on
with a run that was stopped or killed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import tyro

from experiments import data, runs, training
from experiments.command_line import program
from experiments.command_line.checks import check, check_used
from experiments.command_line.options import (
    FREE,
    TrainOptions,
    UserError,
    command_to_go_on,
    flag,
    values,
)
from experiments.command_line.presets import PRESETS, listing
from experiments.command_line.progress import Progress, reporter
from experiments.runs.checkpoints import CheckpointError, Checkpoints, one_line
from experiments.runs.lock import claim
from experiments.runs.loop import DivergedError, Loop, StoppedError, longest_segment
from experiments.runs.metrics import Events
from experiments.training import devices, material
from experiments.training.evaluation import Scores
from experiments.training.precision import products
from experiments.training.recipes import make_recipe
from jaxcnn.layers import Layer


class Result(NamedTuple):
    """Where a run's files are, and its answer."""

    folder: Path
    test_accuracy: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 for a mistake in it, 1 for a run that failed."""
    try:
        options = parse(sys.argv[1:] if arguments is None else list(arguments))
        # 64 bits are turned on for float64 and never off: a caller that works with them keeps them.
        double = options.precision == "float64"
        wide = jax.enable_x64(True) if double else contextlib.nullcontext()
        with wide, products(options.precision):
            result = train(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except (DivergedError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 1
    except StoppedError as error:
        print(error, file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads what is printed any more
        raise
    except OSError as error:
        name = error.filename or "A file of the run"
        print(f"{name} cannot be read or written: {error.strerror or error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    if devices.primary():
        print(f"test accuracy {result.test_accuracy:.4f}")
    return 0


def parse(arguments: list[str]) -> TrainOptions:
    """The options of a command line: [preset] [--option …], or --resume FOLDER [--option …].

    Raises:
        UserError: there is no such preset, or no such run, or it cannot go on with other options;
            or an option makes no sense, or none beside the others.
    """
    name, preset = "", None
    if arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        if name not in PRESETS:
            raise UserError(f"The preset must be one of {', '.join(PRESETS)}, got {name!r}.")
        preset = PRESETS[name].options
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--resume", type=Path)
    folder = first.parse_known_args(arguments)[0].resume
    if folder is not None and preset is not None:
        raise UserError(f"--resume goes on with the options of its run, got the preset {name} too.")
    stored = None if folder is None else runs.stored_options(folder)
    preset = preset or TrainOptions()
    default = preset if stored is None else stored
    options = tyro.cli(
        TrainOptions,
        args=arguments,
        default=default,
        prog="python -m experiments.train [preset]",
        description=f"{TrainOptions.__doc__}\n\n{listing()}",
        config=(tyro.conf.OmitArgPrefixes,),
    )
    if stored is not None:
        before, now = values(stored), values(options)
        changed = [name for name in before if before[name] != now[name] and name not in FREE]
        if changed:
            raise UserError(
                f"The run in {folder} cannot go on with another {flag(changed[0])} than "
                f"{before[changed[0]]}."
            )
        options = dataclasses.replace(options, run_dir=folder)
    elif values(options)["checkpoint"] is not None:
        raise UserError("--checkpoint is for --resume.")
    check(options)
    check_used(options, default)
    return options


def train(options: TrainOptions) -> Result:
    """Train as the options say and fill the run folder.

    Raises:
        UserError: the options make no sense, or data or run folder cannot be used.
        DivergedError, CheckpointError, StoppedError: the run did not come to its end.
    """
    seconds: dict[str, float] = {}
    check(options)
    options = material.smoke(options)
    devices.join(options.hardware)
    if jax.process_count() > 1 and options.run_dir is None:
        raise UserError("--run-dir must be given where several processes share a run.")
    mesh = devices.make_mesh(options.hardware, options.batch_size, options.accumulate)
    with devices.within(mesh):
        with stopwatch(seconds, "data"):
            images = devices.together(
                lambda: material.load(options, mesh), "Another process could not load its data."
            )
        options = images.options
        folder = runs.folder_of(options)
        with contextlib.ExitStack() as held:
            devices.together(
                lambda: claim(folder, options, held) if devices.primary() else None,
                "The first process could not make the run folder its own.",
            )
            try:
                return _run(options, images, folder, mesh, seconds)
            except KeyboardInterrupt as error:
                raise StoppedError(
                    "Interrupted; go on from the last checkpoint with: "
                    f"{command_to_go_on(folder, options)}"
                ) from error


def _run(
    options: TrainOptions,
    images: material.Material,
    folder: Path,
    mesh: jax.sharding.Mesh | None,
    seconds: dict[str, float],
) -> Result:
    epoch_steps = images.train.images // options.batch_size
    # Rounded up; the margin is for epochs that are given as a quotient.
    steps = max(1, math.ceil(options.epochs * epoch_steps - 1e-6))
    recipe = make_recipe(options, steps, epoch_steps, images, mesh)
    init_key, epoch_key = jax.random.split(jax.random.key(options.seed))
    init_key, epoch_key = devices.everywhere(mesh, (init_key, epoch_key))
    advance = training.make_advance(recipe, images.train, epoch_key)
    shape = images.shape
    shape = (shape[0] * shape[1], shape[2]) if recipe.signals else shape
    state = devices.everywhere(mesh, training.initial_state(recipe, init_key, shape))
    describe(options, folder, state.params, images)

    progress = Progress()
    checkpoints = Checkpoints(folder, options)
    try:
        state = begin(options, folder, checkpoints, state, progress)
        with stopwatch(seconds, "compilation"):
            longest = longest_segment(options, epoch_steps)
            left = training.segments(steps, epoch_steps, progress.done, longest)
            for count in sorted({segment.count for segment in left}):
                advance.compile(state, count)
            judged = images.validation, images.test
            judge, judge_test = material.compile_judges(recipe, state, judged)
        resumed = None if options.safety.resume is None else progress.done
        events = Events(folder if devices.primary() else None, resumed)
        loop = Loop(
            options, recipe, advance, epoch_key, steps, epoch_steps, folder, checkpoints, judge,
            events,
        )  # fmt: skip
        shown = options.progress and devices.primary()
        told = reporter(steps, epoch_steps, shown, progress)
        with stopwatch(seconds, "training"), told as report:
            state = loop.run(state, progress, report)
        events.close()
        with stopwatch(seconds, "evaluation"):
            params, net_state = training.evaluated(state, recipe.averaging)
            assert judge_test is not None  # every data set has test images
            found = judge_test(params, net_state)
    finally:
        checkpoints.close()
    ended = params, net_state
    return finish(options, folder, recipe.net, ended, progress, images, found, seconds)


def begin(
    options: TrainOptions,
    folder: Path,
    checkpoints: Checkpoints,
    state: training.TrainState,
    progress: Progress,
) -> training.TrainState:
    """The state that the run goes on from; a new run writes its first checkpoint.

    So a folder that cannot hold checkpoints is found out before the first step, on resuming too.
    """
    found = None
    checkpoints.check_space(state)
    if options.safety.resume is not None:
        found = checkpoints.restore(state, folder, options.safety.checkpoint)
    if found is not None:
        _, state, stored = found
        for name, value in stored.items():
            setattr(progress, name, value)
        if devices.primary():
            print(f"Going on after step {progress.done}.", flush=True)
    else:
        try:
            checkpoints.save(0, state, progress.as_json(), None)
        except CheckpointError as error:
            raise UserError(str(error)) from error
    if devices.primary():
        runs.rewrite_metrics(folder, progress.records)
        runs.forget_comparisons(folder, progress.done)
    return state


def describe(options: TrainOptions, folder: Path, params: Any, images: material.Material) -> None:
    """Print what is about to run."""
    if not devices.primary():
        return
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    train_count, validation_count, test_count = (f"{count:,}" for count in images.counts)
    print(
        f"{options.model} ({parameters:,} parameters) on {options.dataset}: "
        f"{train_count} training, {validation_count} validation, {test_count} test images; "
        f"run folder {folder}",
        flush=True,
    )


def finish(
    options: TrainOptions,
    folder: Path,
    net: Layer,
    ended: tuple[Any, Any],
    progress: Progress,
    images: material.Material,
    found: Scores,
    seconds: dict[str, float],
) -> Result:
    """Write what is known only at the end."""
    from experiments import plots

    try:
        runs.save_parameters(folder, *ended)
    except (OSError, ValueError, RuntimeError) as error:  # orbax makes either of a full disk
        raise CheckpointError(
            f"The parameters in {folder} cannot be written ({one_line(error)}); end the run from "
            f"its last checkpoint with: {command_to_go_on(folder, options)}"
        ) from error
    if devices.primary():
        title = f"{options.model} on {options.dataset}, rules: {options.rules}, seed {options.seed}"
        plots.save_curves(folder / "curves.png", progress.records, found.accuracy, title)
        plots.save_looks(folder, options, found, images.test, net, ended[0])
        summary = {
            "test_accuracy": found.accuracy,
            "test_images": int(np.sum(found.confusion)),
            # confusion[t][p]: images of class t taken for class p
            "confusion": found.confusion.tolist() if len(found.confusion) <= 100 else None,
            "classes": list(data.describe(options).names) or None,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        }
        if found.top_5 is not None:
            summary["test_top_5_accuracy"] = found.top_5
        runs.write_json(folder / "summary.json", summary)
    return Result(folder, found.accuracy)


@contextlib.contextmanager
def stopwatch(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note the wall time of the block under the name."""
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


if __name__ == "__main__":
    program.run(lambda: devices.leave(main))
