"""What clocks and signals say between two calls, the same for all workers."""

from typing import NamedTuple

from kerasrnn.training.workers import Workers


class Moment(NamedTuple):
    """A look at the clock, and at whether a signal came.

    Attributes:
        elapsed: Seconds of training so far, over all runs, and those that
            it will take to end.
        saving_is_due: Whether it is time for a checkpoint.
        sampling_is_due: Whether it is time for another sample.
        count: Steps that the next call should run.
        seconds_per_step: Smoothed; None where it is not known yet.
        signal: Number of a signal that asks a worker to end; 0 is none.
    """

    elapsed: float = 0.0
    saving_is_due: bool = False
    sampling_is_due: bool = False
    count: int = 1
    seconds_per_step: float | None = None
    signal: int = 0

    def agreed(self, workers: Workers) -> "Moment":
        """Returns the chief's, with the signal of whichever worker has one."""
        elapsed, saving, sampling, count, seconds = workers.broadcast(
            [
                self.elapsed,
                self.saving_is_due,
                self.sampling_is_due,
                self.count,
                self.seconds_per_step or 0.0,
            ]
        )
        return Moment(
            elapsed,
            bool(saving),
            bool(sampling),
            int(count),
            seconds or None,
            workers.any(self.signal),
        )
