"""Checkpoints of a run, by orbax: atomic, the latest ones and the best, checked when they are read.

A checkpoint holds the whole state of training, leaf by leaf under its name, and a JSON part: where
the run stands, its records so far, and a digest of every leaf. A run is a function of the seed, the
options and the step, so keys of random numbers and the position in the data follow from those.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from experiments.options import UserError
from experiments.training import TrainState

FOLDER = "checkpoints"
# Beside the checkpoints kept there is one more while it is written, and small files.
SPARE = 16 * 2**20


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written."""


class Checkpoints:
    """The checkpoints in a run's folder, `keep` of the latest and the best by accuracy."""

    def __init__(self, folder: Path, keep: int, *, read_only: bool = False):
        self.folder = (folder / FOLDER).resolve()
        self.keep = keep
        policies = [
            ocp.checkpoint_managers.LatestN(keep),
            ocp.checkpoint_managers.BestN(
                get_metric_fn=lambda metrics: metrics["accuracy"],
                n=1,
                keep_checkpoints_without_metrics=False,
            ),
        ]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.AnyPreservationPolicy(policies),
            enable_async_checkpointing=False,
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            read_only=read_only,
        )
        if read_only and not self.folder.is_dir():
            raise UserError(f"{folder} holds no checkpoints: there is no folder {FOLDER} in it.")
        try:
            self.manager = ocp.CheckpointManager(self.folder, options=options)
        except OSError as error:
            raise UserError(f"The folder {self.folder} cannot be written: {error}.") from error

    def check_space(self, state: TrainState) -> None:
        """Refuse a disk on which the run's checkpoints will not fit.

        Raises:
            UserError: it is too full.
        """
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        needed = (self.keep + 3) * size + SPARE
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise UserError(
                f"The disk of {self.folder} has {free / 2**20:,.0f} MiB free, the checkpoints of "
                f"this run take up to {needed / 2**20:,.0f} MiB: choose another --run-dir."
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
        about = {"digests": {name: digest(leaf) for name, leaf in leaves.items()}, **progress}
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(leaves), progress=ocp.args.JsonSave(about)
        )
        metrics = None if accuracy is None else {"accuracy": accuracy}
        try:
            self.manager.save(step, args=arguments, metrics=metrics, force=True)
        except (OSError, ValueError, RuntimeError) as error:
            last = self.manager.latest_step()
            good = "none before it" if last is None else f"the last good one is {self.path(last)}"
            raise CheckpointError(
                f"The checkpoint {self.path(step)} cannot be written ({one_line(error)}); {good}."
            ) from error

    def restore(
        self, like: TrainState, folder: Path, step: int | None = None
    ) -> tuple[int, TrainState, dict[str, Any]] | None:
        """(step, state, progress) of the last checkpoint, or that of `step`; None without any.

        like: a state of the same structure, whose places on devices the result takes.

        Raises:
            UserError: there is none of that step; or it is damaged, or of another run: then the
                last good one is named.
        """
        steps = sorted(self.manager.all_steps(), reverse=True)
        if not steps and step is None:
            return None
        wanted = steps[0] if step is None else step
        if wanted not in steps:
            shown = ", ".join(map(str, reversed(steps))) or "none"
            raise UserError(f"--checkpoint must be one of those in {self.folder}, {shown}.")
        state = self._read(wanted, like)
        if isinstance(state, str):
            earlier = [s for s in steps if s < wanted and not isinstance(self._read(s, like), str)]
            offer = "there is no good one before it"
            if earlier:
                offer = (
                    f"the last good one is {self.path(earlier[0])}: go on from it with "
                    f"--resume {folder} --checkpoint {earlier[0]}"
                )
            raise UserError(f"The checkpoint {self.path(wanted)} {state}; {offer}.")
        for later in steps[: steps.index(wanted)]:
            self.manager.delete(later)
        return wanted, *state

    def _read(self, step: int, like: TrainState) -> tuple[TrainState, dict[str, Any]] | str:
        """The state and the progress, or what is wrong with them."""
        leaves = named_leaves(like)
        try:
            found = self.manager.restore(
                step, args=ocp.args.Composite(progress=ocp.args.JsonRestore())
            )
            progress = found["progress"]
            digests = progress.pop("digests")
        except Exception as error:  # orbax, tensorstore, json: whatever damage makes of them
            return f"is damaged ({one_line(error)})"
        if set(digests) != set(leaves):
            odd = sorted(set(digests) ^ set(leaves))
            return f"belongs to another network or optimiser (it differs in {odd[0]})"
        wanted = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
            for name, leaf in leaves.items()
        }
        try:
            arguments = ocp.args.Composite(state=ocp.args.StandardRestore(wanted))
            read = self.manager.restore(step, args=arguments)["state"]
        except Exception as error:
            return f"is damaged or of another network ({one_line(error)})"
        for name, leaf in read.items():
            if digest(leaf) != digests[name]:
                return f"is damaged (the numbers of {name} are not those that were saved)"
        _, structure = jax.tree.flatten(like)
        return jax.tree.unflatten(structure, [read[name] for name in leaves]), progress

    def parameters(self, step: int, averaged: bool) -> tuple[Any, Any]:
        """(params, net_state) of a checkpoint as NumPy arrays, or their moving averages.

        Raises:
            UserError: there is no such checkpoint, or it cannot be read.
        """
        steps = sorted(self.manager.all_steps())
        if step not in steps:
            shown = ", ".join(map(str, steps)) or "none"
            raise UserError(f"--checkpoint must be one of those in {self.folder}, {shown}.")
        try:
            arguments = ocp.args.Composite(state=ocp.args.StandardRestore())
            leaves = self.manager.restore(step, args=arguments)["state"]
        except Exception as error:  # whatever damage makes of it
            raise UserError(
                f"The checkpoint {self.path(step)} is damaged ({one_line(error)})."
            ) from error
        places = (".average[0]", ".average[1]") if averaged else (".params", ".net_state")
        params, net_state = (_nested(leaves, place) for place in places)
        return params, net_state

    def best_step(self) -> int | None:
        """The step of the best checkpoint by validation accuracy, if any has one."""
        return self.manager.best_step() if self.manager.all_steps() else None

    def path(self, step: int) -> Path:
        """The folder of the checkpoint of this step."""
        return self.folder / str(step)

    def close(self) -> None:
        """Let go of the threads and files behind it."""
        self.manager.close()


def named_leaves(state: Any) -> dict[str, jax.Array]:
    """Every array of the state under the name of its place, such as .params['c1']['kernel']."""
    found, _ = jax.tree.flatten_with_path(state)
    return {jax.tree_util.keystr(path): jax.numpy.asarray(leaf) for path, leaf in found}


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


def digest(leaf: Any) -> str:
    """Of an array's bits."""
    return hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()[:16]


def one_line(error: Exception) -> str:
    """The error in one line of reasonable length."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
    return text if len(text) < 160 else text[:157] + "…"
