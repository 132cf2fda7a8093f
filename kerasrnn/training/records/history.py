"""`history.jsonl`: the losses of a run, one JSON object per line."""

import json
import os
import pathlib

import numpy as np

from kerasrnn.foundation import files
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.records.observers import Observer


class History(Observer):
    """Writes lines in the order of the steps.

    Lines that a resumed run does not know of were written by one that came
    further than its checkpoints. They are dropped, as these steps are made
    again.

    Args:
        path: The file; its directory must exist.
    """

    def __init__(self, path: os.PathLike | str):
        self._path = pathlib.Path(path)

    def started(self, status: RunStatus) -> None:
        """Drops lines that are not of this run, and one that was cut off."""
        lines = [
            json.dumps(record) + "\n"
            for record in read_history(self._path)
            if status.has_recorded(record)
        ]
        files.write_file(self._path, "".join(lines).encode())

    def line_ended(self, line: dict) -> None:
        """Writes it."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def saving(self) -> None:
        """Makes the lines so far durable."""
        with open(self._path, "ab") as file:
            os.fsync(file.fileno())


def read_history(path: os.PathLike | str) -> list[dict]:
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


def short(value: float) -> float:
    """Returns the float with the fewest digits that is the same float32."""
    return float(str(np.float32(value)))
