"""A working directory's records and samples as one HTML page."""

import os
import pathlib

from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.foundation.paths import local_path
from kerasrnn.reporting.training_report import TrainingRecord
from kerasrnn.reporting.training_report import training_report
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.records.history import read_history

# Bytes shown of a sample, which is as long as --sample_length says.
_LONGEST_SAMPLE = 2**20


def write_report(
    path: os.PathLike | str, output: os.PathLike | str | None = None
) -> pathlib.Path:
    """Writes the report on a working directory; returns its path.

    It only reads the directory, so it may be called during a run.

    Args:
        path: The working directory.
        output: The file to write; by default its `report.html`.

    Raises:
        UserError: The directory holds no record of a run yet, or the file
            cannot be written.
    """
    workdir = Workdir(local_path(path))
    if not workdir.path.is_dir():
        raise UserError(
            f"There is no directory {workdir.path}; train a model first, or "
            "give another --workdir."
        )
    target = files.page_target(
        workdir.path / "report.html" if output is None else output
    )
    records = read_history(workdir.history)
    newest = max(checkpoint.steps(workdir.checkpoints), default=0)
    last_step = max([newest, *(record["step"] for record in records[-1:])])
    html = training_report(
        TrainingRecord(
            name=workdir.path.resolve().name,
            records=records,
            samples=_samples(workdir.samples, last_step),
            settings=_settings(workdir.path / "config.json"),
            seconds=_seconds(workdir.checkpoints / str(newest)),
        )
    )
    files.write_page(target, html.encode())
    return target


def _samples(directory, last_step):
    """Returns `(step, text)`; later ones are of a run that was undone."""
    return [
        (
            step,
            files.read_text(directory / f"{step}.txt", _LONGEST_SAMPLE, True),
        )
        for step in sorted(
            int(path.stem)
            for path in directory.glob("*.txt")
            if path.stem.isascii() and path.stem.isdecimal()
        )
        if step <= last_step
    ]


def _settings(path):
    try:
        settings = files.read_json(path)
    except UserError:
        return {}
    if not isinstance(settings, dict):
        return {}
    return {k: v for k, v in settings.items() if isinstance(v, dict)}


def _seconds(path):
    try:
        elapsed = files.read_json(path / "info.json", 2**24)["elapsed"]
        return float(elapsed)
    except (UserError, KeyError, TypeError, ValueError):
        return 0.0
