"""Finds the newest or the best checkpoint that is intact.

Nothing here writes: programs that only read a working directory use it while
a run may be writing there.
"""

import contextlib
import dataclasses
import math
import os
import pathlib
from typing import NamedTuple

from absl import logging

from kerasrnn.errors import UserError
from kerasrnn.foundation.paths import local_path
from kerasrnn.foundation.phrases import command
from kerasrnn.foundation.phrases import path_flag
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints.checkpoint import Checkpoint


class Intact(NamedTuple):
    """What was found in a directory of checkpoints.

    Attributes:
        checkpoint: The intact one that was looked for, or None.
        damaged: Errors of the damaged ones that were met, by step.
    """

    checkpoint: Checkpoint | None
    damaged: dict[int, UserError]


class Found(NamedTuple):
    """A checkpoint of a working directory.

    Attributes:
        path: Its directory.
        checkpoint: Its contents.
    """

    path: pathlib.Path
    checkpoint: Checkpoint


@dataclasses.dataclass(frozen=True)
class Best:
    """Which checkpoint is the best.

    Attributes:
        step: Its step.
        loss: Its validation loss, in nats per character.
    """

    step: int
    loss: float

    @classmethod
    def of(cls, best: Checkpoint | None) -> "Best | None":
        """Returns what a checkpoint says of itself; None of no checkpoint."""
        return None if best is None else cls(best.step, recorded_loss(best))


def newest_intact(directory: os.PathLike | str) -> Intact:
    """Returns the newest intact checkpoint, and the newer, damaged ones."""
    return _read_while_there(directory, _newest_intact)


def _newest_intact(directory, steps):
    damaged: dict[int, UserError] = {}
    for step in reversed(steps):
        try:
            return Intact(_load(directory, step), damaged)
        except UserError as error:
            damaged[step] = error
    return Intact(None, damaged)


def best_intact(directory: os.PathLike | str) -> Intact:
    """Returns the intact checkpoint with the lowest loss, and damaged ones.

    There are several where a process was killed as it replaced one by a
    better one.
    """
    return _read_while_there(directory, _best_intact)


def _best_intact(directory, steps):
    intact, damaged = [], {}
    for step in steps:
        try:
            intact.append(_load(directory, step))
        except UserError as error:
            damaged[step] = error
    # Of equals the newest.
    best = min(reversed(intact), key=recorded_loss, default=None)
    return Intact(best, damaged)


class _ReplacedError(Exception):
    """A run has replaced a checkpoint after the directory was listed."""


def _read_while_there(directory, read):
    """Lists steps and reads them, until none was replaced meanwhile."""
    while True:
        with contextlib.suppress(_ReplacedError):
            return read(directory, checkpoint.steps(directory))


def _load(directory, step):
    path = pathlib.Path(directory) / str(step)
    try:
        return checkpoint.load(path)
    except UserError:
        try:
            path.lstat()  # A link that leads nowhere is damaged, not replaced.
        except FileNotFoundError:
            raise _ReplacedError from None
        raise


def recorded_loss(saved: Checkpoint) -> float:
    """Returns a checkpoint's own validation loss; infinity if it has none."""
    loss = saved.info.get("validation_loss")
    if saved.info.get("validated") != saved.step:
        return math.inf
    return loss if type(loss) is float and math.isfinite(loss) else math.inf


def warn_of(damaged: dict[int, UserError]) -> None:
    """Logs which checkpoints are passed over, and why."""
    for error in damaged.values():
        logging.warning("%s That checkpoint is skipped.", error)


def load_latest(directory: os.PathLike | str) -> Checkpoint | None:
    """Returns the newest intact checkpoint, or None.

    Damaged ones are left where they are, with a warning.
    """
    found = newest_intact(directory)
    warn_of(found.damaged)
    return found.checkpoint


def load_best(directory: os.PathLike | str) -> Checkpoint | None:
    """Returns the intact checkpoint with the lowest validation loss, or None.

    Damaged ones are left where they are, with a warning.
    """
    found = best_intact(directory)
    warn_of(found.damaged)
    return found.checkpoint


def read_best(directory: os.PathLike | str) -> Best | None:
    """Returns which checkpoint is the best in a directory, or None.

    Args:
        directory: The `best/` of a working directory.
    """
    return Best.of(load_best(directory))


def find(workdir: os.PathLike | str, which: str = "best") -> Found:
    """Returns a working directory's best or latest checkpoint.

    Args:
        workdir: What `kerasrnn-train` wrote to.
        which: "best" by validation, or "latest". Before the first
            validation there is no best one, and the latest is taken.

    Raises:
        UserError: There is no such checkpoint.
    """
    if which not in ("best", "latest"):
        raise UserError(f"checkpoint must be best or latest, not {which!r}.")
    workdir = local_path(workdir)
    if not workdir.is_dir():
        raise UserError(
            f"There is no directory {workdir}; {_how_to_train(workdir)}"
        )
    directory = workdir / "best"
    found = load_best(directory) if which == "best" else None
    if found is None:
        directory = workdir / "checkpoints"
        found = load_latest(directory)
    if found is None:
        raise UserError(
            f"{workdir} has no intact checkpoint; {_how_to_train(workdir)}"
        )
    return Found(directory / str(found.step), found)


def _how_to_train(workdir):
    training = command("kerasrnn-train", path_flag("workdir", workdir))
    return f"train a model first (`{training}`), or give another --workdir."
