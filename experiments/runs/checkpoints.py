"""Checkpoints of a run, by orbax: atomic, the latest ones and the best, checked when they are read.

A checkpoint holds the whole state of training, leaf by leaf under its name, and a JSON part: where
the run stands, its records so far, the options that its numbers follow from, and a digest of every
leaf. A run is a function of the seed, the options and the step, so keys of random numbers and the
position in the data follow from those.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from experiments.command_line.options import TrainOptions, UserError, binding, flag
from experiments.runs.folder import broken, digest, seal
from experiments.runs.steps import Manager, Names
from experiments.training import TrainState
from experiments.training.devices import primary

FOLDER = "checkpoints"
# The accuracy of a checkpoint that has none: orbax then knows each one's, and the worst is no best.
UNJUDGED = -1.0
# Beside the checkpoints kept there is one more while it is written, and small files.
SPARE = 16 * 2**20


# Arrays by their names, and the progress of the run.
Read = tuple[dict[str, Any], dict[str, Any]]


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written."""


class Damage(str):
    """What is wrong with a checkpoint that cannot be read."""


class Checkpoints:
    """The checkpoints in a run's folder, `keep` of the latest and the best by accuracy."""

    def __init__(self, folder: Path, options: TrainOptions, *, read_only: bool = False):
        # What is wrong is told by what orbax raises, or by the digests.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self.folder = (folder / FOLDER).resolve()
        self.keep = keep = options.safety.keep
        self.options = binding(options)
        policies = [
            ocp.checkpoint_managers.LatestN(keep),
            ocp.checkpoint_managers.BestN(
                get_metric_fn=_accuracy, n=1, keep_checkpoints_without_metrics=False
            ),
        ]
        settings = ocp.CheckpointManagerOptions(
            best_fn=_accuracy,  # without it no accuracy is written, nor known after resuming
            preservation_policy=ocp.checkpoint_managers.AnyPreservationPolicy(policies),
            enable_async_checkpointing=False,
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            read_only=read_only,
            step_name_format=Names(),
        )
        if read_only and not self.folder.is_dir():
            raise UserError(f"{folder} holds no checkpoints: there is no folder {FOLDER} in it.")
        try:
            self.manager = Manager(self.folder, options=settings)
        except OSError as error:
            raise UserError(f"The folder {self.folder} cannot be written: {error}.") from error

    def check_space(self, state: TrainState) -> None:
        """Refuse a folder that cannot be written, or a disk that its checkpoints will not fit on.

        Raises:
            UserError: it cannot, or is too full.
        """
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(bytes(1))
        except OSError as error:
            raise UserError(
                f"The folder {self.folder} cannot be written: {error.strerror or error}."
            ) from error
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        needed = (self.keep + 3) * size + SPARE
        # Of a run that goes on, checkpoints are there already, and make room for the next; orbax is
        # just removing the unfinished ones.
        whole = [file for step in self.manager.all_steps() for file in self.path(step).rglob("*")]
        stored = sum(file.stat().st_size for file in whole if file.is_file())
        free = shutil.disk_usage(self.folder).free
        needed = max(needed - stored, 2 * size + SPARE)
        if free < needed:
            raise UserError(
                f"The disk of {self.folder} has {free / 2**20:,.0f} MiB free, the checkpoints of "
                f"this run take up to {needed / 2**20:,.0f} MiB more: make room, or choose another "
                "--run-dir."
            )

    def save(
        self, step: int, state: TrainState, progress: Mapping[str, Any], accuracy: float | None
    ) -> None:
        """Write the checkpoint of this step; one that is there already stays.

        Raises:
            CheckpointError: the disk is full, or something else is wrong with it.
        """
        if step in self.manager.all_steps():
            return
        leaves = named_leaves(state)
        arrays = {
            name: [digest(leaf), leaf.dtype.name, *leaf.shape] for name, leaf in leaves.items()
        }
        about = {"arrays": arrays, "options": self.options, **progress}
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(leaves), progress=ocp.args.JsonSave(about)
        )
        metrics = {"accuracy": UNJUDGED if accuracy is None else accuracy}
        try:
            self.manager.save(step, args=arguments, metrics=metrics, force=True)
            seal(self.path(step))
        except (OSError, ValueError, RuntimeError) as error:
            last = self.manager.latest_step()
            good = "none before it" if last is None else f"the last good one is {self.path(last)}"
            raise CheckpointError(
                f"The checkpoint {self.path(step)} cannot be written ({one_line(error)}); {good}."
            ) from error

    def restore(
        self, like: TrainState, folder: Path, step: int | None = None
    ) -> tuple[int, TrainState, dict[str, Any]] | None:
        """(step, state, progress) of the last good checkpoint, or that of `step`; None without any.

        A later one that is damaged is named, and forgotten: what it held will be computed again.

        like: a state of the same structure, whose places on devices the result takes.

        Raises:
            UserError: there is none of that step; or it is damaged, or of another run: then the
                last good one is named.
        """
        leaves, remedy = named_leaves(like), f"go on from it with --resume {folder} --checkpoint"
        if step is None:
            step = self._newest(leaves)
            if step is None:
                return None
        read, progress = self._good(step, leaves, remedy)
        for later in sorted(self.manager.all_steps()):
            if later > step:
                self.manager.delete(later)
        _, structure = jax.tree.flatten(like)
        return step, jax.tree.unflatten(structure, list(read.values())), progress

    def _newest(self, like: Mapping[str, jax.Array]) -> int | None:
        """The last step that is not damaged, or the last of all if there is none; None without any.

        Those after it are named.
        """
        steps, left_out = sorted(self.manager.all_steps(), reverse=True), []
        for step in steps:
            damage = self._read(step, like)
            if not isinstance(damage, Damage):
                if primary():
                    print(*left_out, sep="", end="", file=sys.stderr, flush=True)
                return step
            left_out.append(f"The checkpoint {self.path(step)} {damage}: it is left out.\n")
        return steps[0] if steps else None

    def parameters(self, step: int, averaged: bool) -> tuple[Any, Any]:
        """(params, net_state) of a checkpoint as NumPy arrays, or their moving averages.

        Raises:
            UserError: there is no such checkpoint, or it is damaged, or of another run.
        """
        leaves, _ = self._good(step, None, "take it by --checkpoint")
        places = (".average[0]", ".average[1]") if averaged else (".params", ".net_state")
        params, net_state = (_nested(leaves, place) for place in places)
        return params, net_state

    def _good(self, step: int, like: Mapping[str, jax.Array] | None, remedy: str) -> Read:
        """What the checkpoint of this step holds, every number as it was saved.

        Raises:
            UserError: there is none; or it is damaged, or of another run: then the last good one
                before it is named, and the remedy, which ends with its step.
        """
        steps = sorted(self.manager.all_steps(), reverse=True)
        if step not in steps:
            shown = ", ".join(map(str, reversed(steps))) or "none"
            raise UserError(f"--checkpoint must be one of those in {self.folder}, {shown}.")
        found = self._read(step, like)
        if not isinstance(found, str):
            return found
        offer = "there is no good one before it"
        for earlier in (other for other in steps if other < step):
            if not isinstance(self._read(earlier, like), str):
                offer = f"the last good one is {self.path(earlier)}: {remedy} {earlier}"
                break
        raise UserError(f"The checkpoint {self.path(step)} {found}; {offer}.")

    def _read(self, step: int, like: Mapping[str, jax.Array] | None) -> Read | str:
        """The arrays by name and the progress, or what is wrong with them.

        like: arrays of the same names, shapes and dtypes, whose places on devices they take;
        without them they are NumPy's.
        """
        damage = broken(self.path(step))
        if damage is not None:
            return Damage(f"is damaged ({damage})")
        try:
            found = self.manager.restore(
                step, args=ocp.args.Composite(progress=ocp.args.JsonRestore())
            )
            progress = found["progress"]
            arrays, options = progress.pop("arrays"), progress.pop("options")
            wanted: Mapping[str, Any] = (
                {
                    name: np.empty(shape, jax.numpy.dtype(dtype))
                    for name, (_, dtype, *shape) in arrays.items()
                }
                if like is None
                else like
            )
        except Exception as error:  # orbax, tensorstore, json: whatever damage makes of them
            return Damage(f"is damaged ({one_line(error)})")
        if set(arrays) != set(wanted):
            odd = sorted(set(arrays) ^ set(wanted))
            return f"belongs to another network or optimiser (it differs in {odd[0]})"
        if options != self.options:
            names = sorted(set(options) | set(self.options))
            odd = next(name for name in names if options.get(name) != self.options.get(name))
            here, there = (found.get(odd, "unknown") for found in (self.options, options))
            return f"belongs to another run ({flag(odd)} is {there} there, {here} here)"
        try:
            arguments = ocp.args.Composite(state=ocp.args.StandardRestore(_places(wanted)))
            read = self.manager.restore(step, args=arguments)["state"]
        except Exception as error:
            return f"is damaged or of another network ({one_line(error)})"
        for name, leaf in read.items():
            if digest(leaf) != arrays[name][0]:
                return Damage(f"is damaged (the numbers of {name} are not those that were saved)")
            if jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating) and not np.isfinite(leaf).all():
                return Damage(f"is damaged ({name} holds NaN or infinity)")
        return {name: read[name] for name in wanted}, progress

    def best_step(self) -> int | None:
        """The step of the best checkpoint by validation accuracy, if any has one."""
        step = self.manager.best_step()
        if step is None or _accuracy(self.manager.metrics(step)) == UNJUDGED:
            return None
        return step

    def path(self, step: int) -> Path:
        """The folder of the checkpoint of this step."""
        return self.folder / str(step)

    def close(self) -> None:
        """Let go of the threads and files behind it."""
        self.manager.close()


def _accuracy(metrics: Any) -> float:
    return metrics["accuracy"]


def named_leaves(state: Any) -> dict[str, jax.Array]:
    """Every array of the state under the name of its place, such as .params['c1']['kernel']."""
    found, _ = jax.tree.flatten_with_path(state)
    return {jax.tree_util.keystr(path): jax.numpy.asarray(leaf) for path, leaf in found}


def _places(like: Mapping[str, Any]) -> dict[str, Any]:
    """What orbax is to restore: arrays on the devices of those, or NumPy's."""
    return {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        if isinstance(leaf, jax.Array)
        else leaf
        for name, leaf in like.items()
    }


def _nested(leaves: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The dicts within dicts that were saved under the names of their places."""
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        if name.startswith(place + "["):
            *path, last = re.findall(r"\['([^']+)'\]", name.removeprefix(place))
            inner = tree
            for key in path:
                inner = inner.setdefault(key, {})
            inner[last] = np.asarray(leaf)
    return tree


def one_line(error: Exception) -> str:
    """The error in one line of reasonable length."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
    return text if len(text) < 160 else text[:157] + "…"
