"""What a training leaves to read: history.jsonl and TensorBoard's scalars."""

import contextlib
import json
import os
import pathlib
import socket
import time
from collections.abc import Callable

import numpy as np

from kerasrnn.foundation import files


class History:
    """`history.jsonl`: one JSON object a line, in the order of the steps.

    Args:
        path: The file; a directory above it must exist.
    """

    def __init__(self, path):
        self._path = pathlib.Path(path)

    def keep(self, is_kept: Callable[[dict], bool]) -> None:
        """Drops all other lines, and one that was cut off."""
        lines = [
            json.dumps(record) + "\n"
            for record in read_history(self._path)
            if is_kept(record)
        ]
        files.write_file(self._path, "".join(lines).encode())

    def append(self, records: list[dict]) -> None:
        """Adds lines."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)

    def sync(self) -> None:
        """Makes the lines so far durable."""
        with open(self._path, "ab") as file:
            os.fsync(file.fileno())


def read_history(path) -> list[dict]:
    """Returns the records of a `history.jsonl`; none if it is not there.

    A last line that was cut off is left out.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    records = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict) or not isinstance(
            record.get("step"), int
        ):
            break
        records.append(record)
    return records


def short(value) -> float:
    """Returns the float with the fewest digits that is the same float32."""
    return float(str(np.float32(value)))


class Scalars:
    """Scalars for TensorBoard; nothing where TensorBoard is not installed.

    Args:
        directory: Where its event files go.
        step: Newest step that is recorded when this process starts:
            TensorBoard forgets what an earlier process wrote beyond it.
    """

    def __init__(self, directory, step: int):
        self._file = None
        try:
            from tensorboard.compat.proto import event_pb2
            from tensorboard.summary.writer import record_writer
        except ImportError:
            return
        self._event = event_pb2.Event
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files in the order of their names.
        name = f"{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        # Its own EventFileWriter has a thread, which dies on a full disk.
        self._file = open(directory / f"events.out.tfevents.{name}", "ab")
        self._writer = record_writer.RecordWriter(self._file)
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(file_version="brain.Event:2", wall_time=time.time())
        # From the next step on: that of this one was told.
        self._write(step=step + 1, session_log=start, wall_time=time.time())

    def add(self, step: int, wall_time: float, values: dict) -> None:
        """Adds values by name."""
        if self._file is None:
            return
        summary = self._event(step=step).summary
        for name, value in values.items():
            summary.value.add(tag=name, simple_value=value)
        self._write(step=step, wall_time=wall_time, summary=summary)

    def flush(self) -> None:
        """Writes what was added to the file."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # `flush` has told it.
                self._file.close()

    def _write(self, **fields):
        self._writer.write(self._event(**fields).SerializeToString())
