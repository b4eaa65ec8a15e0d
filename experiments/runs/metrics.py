"""Metrics for TensorBoard, beside metrics.jsonl."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Events:
    """The event file in a run's folder `tensorboard`; `tensorboard --logdir runs` shows it.

    resumed: the step after which a run goes on; TensorBoard then forgets what came later before.
    """

    def __init__(self, folder: Path | None, resumed: int | None = None):
        self.writer: Any = None
        if folder is None:
            return
        # Not tensorboardX: it imports all of PyTorch, where that is installed.
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.event: Any = event_pb2
        self.summary: Any = summary_pb2
        self.writer = EventFileWriter(str(folder / "tensorboard"))
        if resumed is not None:
            start = self.event.SessionLog(status=self.event.SessionLog.START)
            self._add(resumed + 1, session_log=start)

    def write(self, record: Mapping[str, Any]) -> None:
        """Every number of an epoch's record, at its step."""
        if self.writer is None:
            return
        values = [
            self.summary.Summary.Value(tag=name, simple_value=value)
            for name, value in record.items()
            if name not in ("epoch", "step") and value is not None
        ]
        self._add(record["step"], summary=self.summary.Summary(value=values))
        self.writer.flush()

    def _add(self, step: int, **content: Any) -> None:
        self.writer.add_event(self.event.Event(wall_time=time.time(), step=step, **content))

    def close(self) -> None:
        """Finish the file."""
        if self.writer is not None:
            self.writer.close()
