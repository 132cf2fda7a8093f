"""The checkpoints of a run: saved, kept, set aside, and which is the best.

A working directory has the newest checkpoints, to resume from, and the best
one by validation. What is best is decided by what the checkpoint on disk says
of itself: the run may know only of a worse one, because it was killed after
it had found the best, or resumes from an older checkpoint. It may also know
of a better one that has been deleted since.
"""

import contextlib
import os
import pathlib
import shutil

from absl import logging

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.finding import Best
from kerasrnn.training.checkpoints.workdir import Workdir


class CheckpointManager:
    """Manages the checkpoints of a working directory.

    The process must hold the directory (see `workdir.locked`); of several
    workers only the chief does. Another process may only call `load`.

    `config.json` and `vocabulary.json` are written once there is a checkpoint
    to resume from, so a directory that has them but no checkpoint is known to
    have lost a model.

    Args:
        workdir: The working directory.
    """

    def __init__(self, workdir: Workdir):
        self._workdir = workdir
        self._directory = workdir.checkpoints
        self._newest: Checkpoint | None = None
        self._best: Best | None = None
        self._has_looked_for_best = False
        self._is_described = False

    def newest(self) -> Checkpoint | None:
        """Returns the newest intact checkpoint, or None at the very start.

        Damaged ones that are newer are set aside. Otherwise they would count
        among the newest, and intact ones would be removed to make room.

        The checkpoint is loaded once and kept in memory until `release`.

        Raises:
            UserError: There are checkpoints, but none is intact; all of them
                stay where they are.
        """
        if self._newest is not None:
            return self._newest
        found, damaged = finding.newest_intact(self._directory)
        if found is not None:
            _set_aside_damaged(self._directory, damaged)
        elif damaged:
            finding.warn_of(damaged)
            raise UserError(
                f"None of the checkpoints in {self._directory} is intact. "
                "Put a good copy there, or give another --workdir."
            )
        self._newest = found
        return found

    def release(self) -> None:
        """Frees the memory of the checkpoint that `newest` returned."""
        self._newest = None

    def load(self, step: int) -> Checkpoint:
        """Returns the checkpoint of a step.

        Raises:
            UserError: It is not there, or damaged.
        """
        return checkpoint.load(self._directory / str(step))

    def save(self, saved: Checkpoint) -> None:
        """Saves a checkpoint that a run can resume from, and keeps the newest.

        Raises:
            UserError: It could not be written.
        """
        self.release()
        checkpoint.save(self._directory, saved)
        self.describe(saved.config, saved.vocabulary)
        keep_newest(self._directory, saved.config.training.keep)

    def describe(self, config: Config, vocabulary: Vocabulary) -> None:
        """Writes, once, what the checkpoints are checkpoints of."""
        if not self._is_described:
            self._workdir.write_configuration(config, vocabulary)
            self._is_described = True

    @property
    def best(self) -> Best | None:
        """Which checkpoint is the best in the working directory, or None."""
        if not self._has_looked_for_best:
            self._best = self._find_best()
            self._has_looked_for_best = True
        return self._best

    def save_best(self, saved: Checkpoint) -> None:
        """Saves a checkpoint as the best one, unless there is one as good.

        Raises:
            UserError: It could not be written; the best is still there.
        """
        best = self.best
        if best is None or finding.recorded_loss(saved) < best.loss:
            checkpoint.save(self._workdir.best, saved)
            self._best = Best.of(saved)
            keep_only(self._workdir.best, saved.step)

    def set_aside_failed(self, failed_step: int, back: int) -> int:
        """Sets aside the checkpoints that only lead to a failed step.

        The loss of a step is that of the weights before it, so a checkpoint
        is good if the step after it has not failed.

        Args:
            failed_step: Number of the step, from 1.
            back: How many good checkpoints to go back.

        Returns:
            The step of the newest that stays; 0 if none does.
        """
        self.release()
        steps = checkpoint.steps(self._directory)
        good = [step for step in steps if step < failed_step - 1]
        target = good[max(len(good) - back, 0)] if good else 0
        for step in steps:
            if step > target:
                _set_aside(self._directory, step, "diverged")
        return target

    def _find_best(self):
        directory = self._workdir.best
        found, damaged = finding.best_intact(directory)
        # What might be repaired is neither replaced nor removed.
        _set_aside_damaged(directory, damaged)
        if found is not None:
            keep_only(directory, found.step)
        return Best.of(found)


def keep_newest(directory: os.PathLike | str, count: int) -> None:
    """Removes all but the newest `count` checkpoints."""
    for step in checkpoint.steps(directory)[:-count]:
        _remove(directory, step)


def keep_only(directory: os.PathLike | str, step: int) -> None:
    """Removes all checkpoints but that of one step."""
    for other in checkpoint.steps(directory):
        if other != step:
            _remove(directory, other)


def _set_aside(
    directory: os.PathLike | str, step: int, why: str
) -> pathlib.Path:
    """Renames a checkpoint to `<step>.<why>`, which no program reads.

    It is not removed, so that a user can look into it.
    """
    path = pathlib.Path(directory) / str(step)
    aside = path.with_name(f"{step}.{why}")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    return aside


def _set_aside_damaged(directory, damaged):
    """Sets damaged checkpoints aside, as far as possible, with a warning."""
    for step, error in damaged.items():
        with contextlib.suppress(OSError):
            aside = _set_aside(directory, step, "damaged")
            logging.warning(
                "%s That checkpoint is skipped and kept as %s.",
                error,
                aside,
            )


def _remove(directory, step):
    """Removes a checkpoint; one that is half removed has no number."""
    path = pathlib.Path(directory) / str(step)
    removed = path.with_name(f".tmp-{step}-removed")
    shutil.rmtree(removed, ignore_errors=True)
    path.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)
