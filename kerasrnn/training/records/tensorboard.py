"""The losses of a run as scalars for TensorBoard."""

import contextlib
import os
import pathlib
import socket
import time
from typing import BinaryIO

from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.records.observers import Validation


class TensorBoard(Observer):
    """Writes the numbers of each line; nothing without TensorBoard installed.

    Each start of a run has an event file of its own. TensorBoard ignores what
    earlier files say of steps from there on.

    Args:
        directory: Where the event files go.
    """

    def __init__(self, directory: os.PathLike | str):
        self._directory = pathlib.Path(directory)
        self._file: BinaryIO | None = None

    def started(self, status: RunStatus) -> None:
        """Starts an event file."""
        try:
            from tensorboard.compat.proto import event_pb2
            from tensorboard.summary.writer import record_writer
        except ImportError:
            return
        self.close()
        self._event = event_pb2.Event
        self._directory.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files in the order of their names.
        name = f"{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        # Its own EventFileWriter has a thread, which dies on a full disk.
        path = self._directory / f"events.out.tfevents.{name}"
        self._file = open(path, "ab")
        self._writer = record_writer.RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        # From the first step on that is in no line yet.
        step = status.step - len(status.pending) + 1
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(step=step, session_log=start)

    def line_ended(self, line: dict) -> None:
        """Adds its numbers."""
        if self._file is None:
            return
        summary = self._event(step=line["step"]).summary
        for name, value in line.items():
            if isinstance(value, float) and name != "epoch":
                summary.value.add(tag=name, simple_value=value)
        self._write(step=line["step"], summary=summary)

    def validated(self, validation: Validation) -> None:
        """Writes what was added to the file, so that it can be seen."""
        self.saving()

    def saving(self) -> None:
        """Writes what was added to the file."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # `saving` has raised it.
                self._file.close()

    def _write(self, **fields):
        event = self._event(wall_time=time.time(), **fields)
        self._writer.write(event.SerializeToString())
