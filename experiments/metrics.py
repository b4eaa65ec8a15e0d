"""Metrics for TensorBoard, beside metrics.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Events:
    """The event files in a run's folder `tensorboard`; `tensorboard --logdir runs` shows them."""

    def __init__(self, folder: Path | None, purge: int | None = None):
        self.writer: Any = None
        if folder is None:
            return
        from tensorboardX import SummaryWriter

        # Without purging, what a run wrote after its last checkpoint would be shown twice.
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def write(self, record: Mapping[str, Any]) -> None:
        """Every number of an epoch's record, at its step."""
        if self.writer is None:
            return
        for name, value in record.items():
            if name not in ("epoch", "step") and value is not None:
                self.writer.add_scalar(name, value, record["step"])
        self.writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self.writer is not None:
            self.writer.close()
