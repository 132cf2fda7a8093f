"""The steps of a run, what is due between them, and their learning rates."""

import dataclasses
import math
from typing import Annotated

from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation.constraints import AMOUNT
from kerasrnn.foundation.constraints import COUNT
from kerasrnn.foundation.constraints import check_fields
from kerasrnn.foundation.phrases import counted

# What a validation may always read: training batches; or, where they are
# short, times the context of one stream, so that something is scored.
_LEAST_BATCHES = 4
_LEAST_CONTEXTS = 2
# Steps in a minute where nobody knows yet; most machines make more.
_FEW_PER_MINUTE = 60
# A step computes the gradient, too, which takes twice as long as the loss.
_FORWARD_SHARE = 1 / 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """When to stop before the epochs are over.

    Attributes:
        max_steps: Steps in all; 0 is no limit.
        minutes: Minutes of training in all, earlier runs in the same
            working directory included; 0 is no limit. The learning rate's
            schedule is fitted to it, so such a run cannot be repeated bit
            for bit.
    """

    max_steps: Annotated[int, COUNT] = 0
    minutes: Annotated[float, AMOUNT] = 0.0

    def __post_init__(self):
        check_fields(self)

    @property
    def reached_minutes(self) -> str:
        """Why a run ends that has used up its minutes."""
        return f"--minutes={self.minutes:g} is reached"

    @classmethod
    def from_info(cls, info: dict) -> "Limits":
        """Returns the limits in a checkpoint's info.

        Raises:
            UserError: They are none.
        """
        values = info.get("limits", {})
        known = {"max_steps": int, "minutes": float}
        if not isinstance(values, dict) or not all(
            type(value) in (int, known.get(name))
            for name, value in values.items()
        ):
            raise UserError(f"The checkpoint's limits are {values!r}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise UserError(
                f"The checkpoint's limits are {values!r}: {error}."
            ) from None


@dataclasses.dataclass(frozen=True)
class Plan:
    """The steps of a run and the events between them.

    Attributes:
        config: The run's configuration.
        steps_per_epoch: Steps in one pass over the text.
        limits: When to stop earlier.
        validates: Whether there is text to validate on.
    """

    config: TrainingConfig
    steps_per_epoch: int
    limits: Limits
    validates: bool

    @property
    def total_steps(self) -> int:
        """Steps in all, as far as no clock decides."""
        total = self.config.epochs * self.steps_per_epoch
        return min(total, self.limits.max_steps or total)

    @property
    def evaluate_every(self) -> int:
        """Steps between validations."""
        return self.config.evaluate_every or self.steps_per_epoch

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints; 0 leaves it to the clock."""
        return self.config.checkpoint_every or self.config.evaluate_every

    @property
    def sample_every(self) -> int:
        """Steps between samples."""
        return self.config.sample_every or self.evaluate_every

    def validation_is_due(self, step: int, ending: bool) -> bool:
        """Whether to validate after `step` steps.

        Step 0 is validated if it is another model: then no step that is
        worse than what the run began with counts as the best.
        """
        if step == 0:
            return self.validates and bool(self.config.init_from)
        return self.validates and _is_due(step, self.evaluate_every, ending)

    def sample_is_due(self, step: int, ending: bool, is_time: bool) -> bool:
        """Whether to generate a sample after `step` steps.

        Args:
            step: Steps made.
            ending: Whether no other step follows.
            is_time: Whether the last one is a while ago. It does not matter
                if the user says after how many steps there are samples.
        """
        is_set = self.config.sample_every or self.config.evaluate_every
        return (
            self.config.sample_length > 0
            and _is_due(step, self.sample_every, ending)
            and bool(ending or is_time or is_set)
        )

    def checkpoint_is_due(self, step: int, ending: bool) -> bool:
        """Whether to save a checkpoint after `step` steps."""
        return _is_due(step, self.checkpoint_every, ending)

    def validation_sample(self, step: int, to_read: int) -> int:
        """Returns how many characters validations may read.

        No clock decides it, so it is the same whenever the run is repeated.

        Args:
            step: Steps made before the first validation.
            to_read: Characters that are read to validate on all that is held
                out, contexts and padding included.

        Returns:
            Characters, these included; or 0, which is all.
        """
        if not self.config.validation_cost:
            return 0
        if step == 0:
            step = min(self.evaluate_every, self.total_steps)
            if self.limits.minutes:
                # How many there will be is not known yet.
                step = min(step, _FEW_PER_MINUTE * self.limits.minutes)
        affordable = self.config.validation_cost * step / _FORWARD_SHARE
        batches = max(affordable, _LEAST_BATCHES)
        characters = max(
            int(batches * self._characters_per_step),
            _LEAST_CONTEXTS * self.config.validation_context,
        )
        return characters if characters < to_read else 0

    def steps_worth(self, characters: int) -> float:
        """Returns how many steps take as long as reading to validate."""
        return _FORWARD_SHARE * characters / self._characters_per_step

    @property
    def _characters_per_step(self):
        return self.config.batch_size * self.config.sequence_length

    def steps_to_event(self, step: int) -> int:
        """Returns how many steps may follow `step` before anything is due."""
        periods = (
            self.evaluate_every,
            self.checkpoint_every,
            self.sample_every,
        )
        events = [
            self.total_steps,
            *(step + p - step % p for p in periods if p),
        ]
        return min(events) - step

    def reason_to_end(self, step: int, elapsed: float, stale: int) -> str:
        """Returns why no step follows, or "".

        Args:
            step: Steps made.
            elapsed: Seconds of training so far, and those it takes to end.
            stale: Number of validations since the best one.
        """
        reached = self.limits_reached(step, elapsed, stale)
        return next(iter(reached.values()), "")

    def limits_reached(
        self, step: int, elapsed: float, stale: int
    ) -> dict[str, str]:
        """Returns why no step follows: each reason by the flag that it is of.

        The arguments are those of `reason_to_end`.
        """
        reached = {}
        epochs, limits = self.config.epochs, self.limits
        if step >= epochs * self.steps_per_epoch:
            all_epochs = f"all {epochs:,} epochs are"
            done = "the one epoch is" if epochs == 1 else all_epochs
            reached["--epochs"] = f"{done} done"
        if limits.max_steps and step >= limits.max_steps:
            reached["--max_steps"] = (
                f"--max_steps={limits.max_steps} is reached"
            )
        if limits.minutes and step and elapsed >= 60 * limits.minutes:
            reached["--minutes"] = limits.reached_minutes
        if self.config.patience and stale >= self.config.patience:
            validations = counted(stale, "validation")
            reached["--patience"] = (
                f"{validations} in a row did not improve on the best"
            )
        return reached

    def expected_steps(
        self, step: int, elapsed: float, seconds_per_step: float | None
    ) -> int:
        """Returns how many steps the run will probably make in all."""
        if not self.limits.minutes or seconds_per_step is None:
            return self.total_steps
        seconds = max(60 * self.limits.minutes - elapsed, 0)
        steps = step + int(seconds / seconds_per_step)
        return max(min(self.total_steps, steps), step + 1)

    def rates(self, step: int, count: int, total: int) -> list[float]:
        """Returns the learning rates of `count` steps from `step`.

        Args:
            step: Steps made.
            count: How many follow.
            total: Steps in all, to which the schedule is fitted.
        """
        return [
            learning_rate(self.config, s, self.steps_per_epoch, total)
            for s in range(step, step + count)
        ]


def _is_due(step, period, ending):
    if step == 0:
        return False
    return ending or (period > 0 and step % period == 0)


def learning_rate(
    config: TrainingConfig, step: int, steps_per_epoch: int, total_steps: int
) -> float:
    """Returns the learning rate of a step.

    Args:
        config: Names the schedule and its numbers.
        step: Number of the step, from 0.
        steps_per_epoch: Steps in one pass over the training text.
        total_steps: Steps in the whole training, where "cosine" reaches 0.
    """
    rate = config.learning_rate
    # A short training is not spent on warming up.
    warmup = min(config.warmup_steps, total_steps // 2)
    if step < warmup:
        rate *= (step + 1) / warmup
    if config.schedule == "exponential":
        # char-rnn multiplies after each epoch from number `decay_after` on,
        # so that with 10, 50 epochs end with 41 factors.
        epochs = step // steps_per_epoch
        return rate * config.decay_rate ** max(
            0, epochs - config.decay_after + 1
        )
    if config.schedule == "step":
        # torch-rnn counts epochs from 1 and multiplies as it comes to those
        # that `decay_after` divides, one step before they begin.
        epoch = (step + 1) // steps_per_epoch + 1
        return rate * config.decay_rate ** (epoch // max(config.decay_after, 1))
    if config.schedule == "cosine":
        decaying = max(total_steps - warmup, 1)
        share = min(max(step - warmup, 0) / decaying, 1.0)
        # SGDR without restarts: Loshchilov and Hutter, 2017, equation 5.
        return rate * 0.5 * (1 + math.cos(math.pi * share))
    return rate
