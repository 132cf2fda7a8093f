"""Saving by the chief, for all workers."""

from kerasrnn.errors import UserError
from kerasrnn.training.checkpoints.best import Best
from kerasrnn.training.checkpoints.manager import Saved
from kerasrnn.training.checkpoints.manager import Saver
from kerasrnn.training.workers import Workers


class SharedSaver:
    """A `Saver` whose chief writes, and whose workers read the same.

    All workers call its methods together.

    Args:
        saver: Of this process.
        workers: This process and the others.
    """

    def __init__(self, saver: Saver, workers: Workers):
        self._saver = saver
        self._workers = workers

    @property
    def best(self) -> Best | None:
        """See `Saver.best`; None where this is not the chief."""
        return self._saver.best if self._workers.is_chief else None

    def save(self, position, arrays, states, finished) -> None:
        """See `Saver.save`."""
        if self._workers.is_chief:
            self._saver.save(position, arrays, states, finished)

    def save_best(self, position, weights) -> None:
        """See `Saver.save_best`."""
        if self._workers.is_chief:
            self._saver.save_best(position, weights)

    def set_aside_failed(self, failed: int, count: int) -> int:
        """See `Saver.set_aside_failed`."""
        step = 0
        if self._workers.is_chief:
            step = self._saver.set_aside_failed(failed, count)
        return int(self._workers.broadcast([step])[0])

    def newest(self) -> Saved | None:
        """Returns what to resume from: what the chief finds.

        Raises:
            UserError: This worker does not find it.
        """
        found = self._saver.newest() if self._workers.is_chief else None
        step = -1 if found is None else found.position.step
        step = int(self._workers.broadcast([step])[0])
        if step < 0 or self._workers.is_chief:
            return found
        try:
            return self._saver.load(step)
        except UserError as error:
            raise UserError(
                f"{error} The chief goes on from it: all workers must see "
                "the same working directory. Give --workdir on a file system "
                "that they share."
            ) from None
