"""When events are due by the clock, and how long they will take.

What is decided here changes no number that a training computes, except where
`--minutes` ends it.
"""

import contextlib
import math
import time

from kerasrnn.training.shared_clock import Moment
from kerasrnn.training.step.schedule import Plan
from kerasrnn.training.step.steps_per_call import Pace
from kerasrnn.training.train_state import TrainingState

# By default no more work than that of a minute is lost, and no more is shown
# of validations and samples than one a minute.
_SECONDS_BETWEEN = 60.0
# Whoever says after how many steps there are checkpoints knows the cost.
_SECONDS_BETWEEN_EXPLICIT_CHECKPOINTS = 600.0
# Saving takes no more than one part in so many of the time.
_PARTS_PER_SAVE = 50.0


class Timing:
    """The events of a training by the clock of this process.

    Args:
        plan: The steps of the training.
        held_out: Characters to validate on.
        state: Where the training stands.
        pace: That of this process's steps.
    """

    def __init__(
        self, plan: Plan, held_out: int, state: TrainingState, pace: Pace
    ):
        self._plan = plan
        self._held_out = held_out
        self._state = state
        self._pace = pace
        self._seconds: dict[str, float] = {}
        self._ends: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, event: str):
        """Takes the time of an event, which the block is."""
        started = time.monotonic()
        yield
        self._ends[event] = time.monotonic()
        self._seconds[event] = self._ends[event] - started

    def moment(self, signal: int) -> Moment:
        """Returns what the clock says now, and a signal's number."""
        return Moment(
            elapsed=self.elapsed_at_the_end(),
            saving_is_due=self.saving_is_due(),
            sampling_is_due=self.is_time_for("sample"),
            count=self._pace.count,
            seconds_per_step=self._state.position.seconds_per_step,
            signal=signal,
        )

    def is_time_for(self, event: str) -> bool:
        """Whether the last event of a kind, if any, is a minute ago."""
        ended = self._ends.get(event, -math.inf)
        return time.monotonic() - ended >= _SECONDS_BETWEEN

    def saving_is_due(self) -> bool:
        """Whether the newest checkpoint is old enough for another."""
        seconds = _SECONDS_BETWEEN_EXPLICIT_CHECKPOINTS
        if not self._plan.config.checkpoint_every:
            seconds = max(
                _SECONDS_BETWEEN, _PARTS_PER_SAVE * self._state.save_seconds
            )
        return self._state.unsaved >= seconds

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
        """What the first validation in this process will take."""
        if not self._plan.validates:
            return 0.0
        position = self._state.position
        characters = position.validation_sample
        if characters is None:
            characters = self._plan.validation_sample(
                position.step, self._held_out
            )
        steps = self._plan.steps_worth(characters or self._held_out)
        # It has a graph of its own to make, as the first step had.
        return self._pace.first_seconds + steps * (
            position.seconds_per_step or 0.0
        )
