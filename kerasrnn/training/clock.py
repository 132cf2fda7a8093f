"""When events are due by the clock, and how long they will take.

What is decided here changes no number that a run computes, except where
`--minutes` ends it.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

from kerasrnn.training.step.schedule import Plan
from kerasrnn.training.step.steps_per_call import StepsPerCall
from kerasrnn.training.step.workers import Workers
from kerasrnn.training.train_state import TrainingState

# By default no more work than that of a minute is lost, and samples are no
# more than one a minute.
_SECONDS_BETWEEN = 60.0
# A user who says after how many steps to save knows what it costs.
_SECONDS_BETWEEN_EXPLICIT_CHECKPOINTS = 600.0
# Saving takes at most one part in so many of the time.
_PARTS_PER_SAVE = 50.0


class ClockReading(NamedTuple):
    """What the clock says between two calls, and whether a signal came.

    Attributes:
        elapsed: Seconds that the run takes if no step follows: those so far,
            over all processes, and those of what follows the last step.
        checkpoint_is_due: Whether it is time for a checkpoint.
        sample_is_due: Whether it is time for another sample.
        steps: How many the next call should run.
        seconds_per_step: Smoothed; None if it is not known yet.
        signal: Number of a signal that asks a worker to end, or 0.
    """

    elapsed: float = 0.0
    checkpoint_is_due: bool = False
    sample_is_due: bool = False
    steps: int = 1
    seconds_per_step: float | None = None
    signal: int = 0

    def agreed(self, workers: Workers) -> "ClockReading":
        """Returns the chief's reading, and the signal of any worker."""
        elapsed, checkpoint, sample, steps, seconds = workers.broadcast(
            [
                self.elapsed,
                self.checkpoint_is_due,
                self.sample_is_due,
                self.steps,
                self.seconds_per_step or 0.0,
            ]
        )
        return ClockReading(
            elapsed,
            bool(checkpoint),
            bool(sample),
            int(steps),
            seconds or None,
            workers.any(self.signal),
        )


class RunClock:
    """The events of a run by the clock of this process.

    Args:
        plan: The steps of the run.
        to_validate: Characters that are read to validate on all held-out text.
        state: How far the run is.
        steps_per_call: Knows how fast this process is.
    """

    def __init__(
        self,
        plan: Plan,
        to_validate: int,
        state: TrainingState,
        steps_per_call: StepsPerCall,
    ):
        self._plan = plan
        self._to_validate = to_validate
        self._state = state
        self._steps_per_call = steps_per_call
        self._seconds: dict[str, float] = {}
        self._ends: dict[str, float] = {}

    @contextlib.contextmanager
    def timing(self, event: str) -> Iterator[None]:
        """Measures how long an event takes, which the block is."""
        started = time.monotonic()
        yield
        self._ends[event] = time.monotonic()
        self._seconds[event] = self._ends[event] - started

    def read(self, signal: int) -> ClockReading:
        """Returns what the clock says now, with a signal's number."""
        return ClockReading(
            elapsed=self.elapsed_at_the_end(),
            checkpoint_is_due=self.checkpoint_is_due(),
            sample_is_due=self.is_time_for("sample"),
            steps=self._steps_per_call.count,
            seconds_per_step=self._state.status.seconds_per_step,
            signal=signal,
        )

    def is_time_for(self, event: str) -> bool:
        """Whether the last event of a kind, if any, is a minute ago."""
        ended = self._ends.get(event, -math.inf)
        return time.monotonic() - ended >= _SECONDS_BETWEEN

    def checkpoint_is_due(self) -> bool:
        """Whether the newest checkpoint is old enough for another."""
        seconds = _SECONDS_BETWEEN_EXPLICIT_CHECKPOINTS
        if not self._plan.config.checkpoint_every:
            seconds = max(
                _SECONDS_BETWEEN, _PARTS_PER_SAVE * self._state.save_seconds
            )
        return self._state.seconds_unsaved >= seconds

    def elapsed_at_the_end(self) -> float:
        """Returns the seconds of training, if no step followed.

        That is those so far, and those of what follows the last step: a
        validation, a sample and a checkpoint.
        """
        validation = self._seconds.get("validation")
        if validation is None:
            validation = self._seconds_to_validate()
        sample = self._seconds.get("sample", 0.0)
        state = self._state
        return state.elapsed + validation + sample + state.save_seconds

    def _seconds_to_validate(self):
        """Estimates what the first validation in this process will take."""
        if not self._plan.validates:
            return 0.0
        status = self._state.status
        characters = status.validation_sample
        if characters is None:
            characters = self._plan.validation_sample(
                status.step, self._to_validate
            )
        steps = self._plan.steps_worth(characters or self._to_validate)
        # Its graph has to be made, as that of the first step had.
        return self._steps_per_call.first_seconds + steps * (
            status.seconds_per_step or 0.0
        )
