"""How orbax finds the checkpoints in a folder, whatever their metadata have become.

A manager that begins reads the time of every checkpoint from its metadata, and would not begin
where those of a single one are not what orbax wrote. Which checkpoints there are is said by their
folders, and which of them are damaged by the digests of their files (`folder.broken`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orbax.checkpoint as ocp

# What is kept is chosen by step and accuracy, never by time.
SOME_TIME = datetime.fromtimestamp(0, UTC)


class _Step(ocp.path.step.Metadata):
    """The number and the folder of a checkpoint, of which no file is read."""

    @property
    def commit_timestamp(self) -> datetime:
        return SOME_TIME


class Names(ocp.path.step.NameFormat[ocp.path.step.Metadata]):
    """Orbax's own names, which are the steps in digits."""

    def __init__(self) -> None:
        self.own = ocp.path.step.standard_name_format()

    def build_name(self, step: int) -> str:
        """The folder's name."""
        return self.own.build_name(step)

    def find_all(self, base_path: Any) -> Iterator[ocp.path.step.Metadata]:
        """Every checkpoint that was written to its end."""
        return (_Step(step=found.step, path=found.path) for found in self.own.find_all(base_path))

    def find_step(self, base_path: Any, step: int) -> ocp.path.step.Metadata:
        """That of this step; a ValueError, as orbax expects, where there is none."""
        found = self.own.find_step(base_path, step)
        return _Step(step=found.step, path=found.path)


class Manager(ocp.CheckpointManager):
    """Orbax's, which would not begin where the accuracy of a single checkpoint cannot be read."""

    def metrics(self, step: int) -> Any:
        """The accuracy; None where it cannot be read."""
        try:
            found: Any = super().metrics(step)
            return found if isinstance(found["accuracy"], float | int) else None
        except Exception:  # whatever damage makes of it
            return None
