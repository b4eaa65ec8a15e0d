"""A saved run, read for use: the one place that says what is wrong with its folder.

Its options are those of this version (`schema`), its files those that were written (`runs`,
`checkpoints`), its parameters those of its network, and numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import data, runs
from experiments.command_line.options import TrainOptions, UserError
from experiments.command_line.schema import stored_in
from experiments.runs.checkpoints import Checkpoints
from experiments.training import material, networks


class Saved(NamedTuple):
    """A run's options; its parameters and state as NumPy arrays, which `net.apply` takes."""

    options: TrainOptions
    params: Any
    state: Any


def read(folder: Path, checkpoint: int | str | None = None) -> Saved:
    """The run in the folder, with the parameters that it ended with or those of a checkpoint.

    checkpoint: its number of steps, or "best" or "last".

    Raises:
        UserError: there is no such run, or something about it is not as it was written.
    """
    options = runs.stored_options(folder)
    with stored_in(folder):
        material.check_network(options)
    if checkpoint is None:
        params, state = runs.load_parameters(folder)
    else:
        params, state = _of_checkpoint(folder, options, checkpoint)
    where = folder / "parameters" if checkpoint is None else f"the checkpoint {checkpoint}"
    check(params, state, options, f"The parameters in {where}")
    return Saved(options, params, state)


def _of_checkpoint(folder: Path, options: TrainOptions, checkpoint: int | str) -> tuple[Any, Any]:
    checkpoints = Checkpoints(folder, options, read_only=True)
    try:
        step = checkpoint
        if isinstance(checkpoint, str):
            steps = {"best": checkpoints.best_step(), "last": checkpoints.manager.latest_step()}
            step = steps[checkpoint]
        if step is None:
            raise UserError(f"{folder} has no {checkpoint} checkpoint: none holds an accuracy.")
        return checkpoints.parameters(int(step), options.average == "ema")
    finally:
        checkpoints.close()


def check(params: Any, state: Any, options: TrainOptions, where: str) -> None:
    """Refuse what is not the network's, or no numbers."""
    shapes = _shapes(options)
    dtype = "float64" if options.precision == "float64" else "float32"
    wanted = {name: f"{dtype}{list(leaf.shape)}" for name, leaf in shapes.items()}
    leaves = _named(params, state)
    found = {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves.items()}
    for name in sorted(wanted.keys() | found.keys()):
        here, there = found.get(name, "missing"), wanted.get(name, "none")
        if here != there:
            raise UserError(
                f"{where} do not fit {options.model} on {options.dataset}: {name} is {here}, "
                f"expected {there}."
            )
    for name, leaf in leaves.items():
        if not np.isfinite(leaf).all():
            raise UserError(f"{where} are no longer numbers: {name} holds NaN or infinity.")


def _shapes(options: TrainOptions) -> dict[str, Any]:
    """Of every array of the network, by name."""
    network = networks.find(options.model)
    net = networks.make(options.model, data.describe(options).classes, small=options.smoke)
    h, w, channels = material.image_shape(options)
    shape = (h * w, channels) if network.signals else (h, w, channels)
    drawn = jax.eval_shape(lambda key: net.init(key, shape, dtype=jnp.float32), jax.random.key(0))
    return _named(*drawn)


def _named(params: Any, state: Any) -> dict[str, Any]:
    found, _ = jax.tree.flatten_with_path({"params": params, "state": state})
    return {"/".join(str(getattr(key, "key", key)) for key in path): leaf for path, leaf in found}
