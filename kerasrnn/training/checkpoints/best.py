"""The checkpoint with the lowest validation loss, which nothing worse replaces.

What is best is said by the checkpoints in `best/` themselves. A training may
know of a worse one only: it may have been killed after it had found the best,
or go on from an older checkpoint. It may also know of a better one that has
been deleted since.
"""

import dataclasses
import os
import pathlib

from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import retention
from kerasrnn.training.checkpoints.checkpoint import Checkpoint


@dataclasses.dataclass(frozen=True)
class Best:
    """A checkpoint in `best/`.

    Attributes:
        step: Its step.
        loss: Its validation loss, in nats per character.
    """

    step: int
    loss: float


def read_best(directory) -> Best | None:
    """Returns which checkpoint is the best in a directory, or None.

    Args:
        directory: The `best/` of a working directory.
    """
    return _record(checkpoint.load_best(directory))


def _record(best):
    if best is None:
        return None
    return Best(best.step, checkpoint.recorded_loss(best))


class BestCheckpoint:
    """Keeps the best checkpoint in a directory, and no other.

    Args:
        directory: The `best/` of a working directory, which this process
            holds.

    Attributes:
        record: What it holds, or None.
    """

    def __init__(self, directory: os.PathLike | str):
        self._directory = pathlib.Path(directory)
        best, damaged = checkpoint.best_intact(self._directory)
        self.record = _record(best)
        if self.record is None:
            # Lest the next best takes the place of what might be mended.
            retention.set_aside_all(self._directory, damaged)
        else:
            checkpoint.warn_of(damaged)
            retention.keep_only(self._directory, self.record.step)

    def is_beaten_by(self, loss: float) -> bool:
        """Whether a validation loss is lower than that of the best."""
        return self.record is None or loss < self.record.loss

    def replace(self, better: Checkpoint) -> None:
        """Puts a better checkpoint in the place of the best.

        Raises:
            UserError: It could not be written; the best is still there.
        """
        checkpoint.save(self._directory, better)
        self.record = _record(better)
        retention.keep_only(self._directory, better.step)
