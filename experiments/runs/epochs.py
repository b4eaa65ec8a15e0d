"""The parameters that epochs ended with, as `train --keep-every` keeps them, by their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments import runs
from experiments.command_line.options import TrainOptions
from experiments.runs import saved

FOLDER = "epochs"


def keep(folder: Path, epoch: int, params: Any, net_state: Any) -> None:
    """Write those of an epoch; 0 is what the run began with."""
    runs.save_parameters(folder, params, net_state, f"{FOLDER}/{epoch}")


def kept(folder: Path) -> list[int]:
    """The epochs whose parameters are there."""
    found = [path.name for path in (folder / FOLDER).glob("*") if path.is_dir()]
    return sorted(int(name) for name in found if name.isdecimal())


def read(folder: Path, options: TrainOptions) -> dict[int, Any]:
    """The parameters of all that are there, as NumPy arrays.

    Raises:
        UserError: something about them is not as it was written.
    """
    found = {}
    for epoch in kept(folder):
        name = f"{FOLDER}/{epoch}"
        params, state = runs.load_parameters(folder, name)
        saved.check(params, state, options, f"The parameters in {folder / name}")
        found[epoch] = params
    return found
