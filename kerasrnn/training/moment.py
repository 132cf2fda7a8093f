"""What clocks and signals say between two calls, the same for all workers."""

from typing import NamedTuple

from kerasrnn.training.workers import Workers


class Moment(NamedTuple):
    """A look at the clock, and at whether a signal came.

    Attributes:
        elapsed: Seconds of training so far, over all runs.
        unsaved: Seconds since the newest checkpoint.
        count: Steps that the next call should run.
        seconds_per_step: Smoothed; None where it is not known yet.
        signal: Number of a signal that asks a worker to end; 0 is none.
    """

    elapsed: float = 0.0
    unsaved: float = 0.0
    count: int = 1
    seconds_per_step: float | None = None
    signal: int = 0

    def agreed(self, workers: Workers) -> "Moment":
        """Returns the chief's, with the signal of whichever worker has one."""
        elapsed, unsaved, count, seconds = workers.agree(
            [
                self.elapsed,
                self.unsaved,
                self.count,
                self.seconds_per_step or 0.0,
            ]
        )
        return Moment(
            elapsed,
            unsaved,
            int(count),
            seconds or None,
            workers.any(self.signal),
        )
