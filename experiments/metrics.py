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
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.writer = EventFileWriter(str(folder / "tensorboard"))
        if resumed is not None:
            start = SessionLog(status=SessionLog.START)
            event = Event(wall_time=time.time(), step=resumed + 1, session_log=start)
            self.writer.add_event(event)

    def write(self, record: Mapping[str, Any]) -> None:
        """Every number of an epoch's record, at its step."""
        if self.writer is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in record.items()
            if name not in ("epoch", "step") and value is not None
        ]
        summary = Summary(value=values)
        self.writer.add_event(Event(wall_time=time.time(), step=record["step"], summary=summary))
        self.writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self.writer is not None:
            self.writer.close()
