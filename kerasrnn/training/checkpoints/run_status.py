"""How far a run has come, apart from its arrays."""

import dataclasses
import math

from kerasrnn.errors import UserError


@dataclasses.dataclass
class RunStatus:
    """What changes from step to step, kept in every checkpoint.

    Attributes:
        step: Steps made.
        elapsed: Seconds of training, over all processes.
        seconds_per_step: Smoothed; None if it is not known.
        validated: Step of the newest validation.
        validation_loss: Its loss in nats per character.
        best_step: Step of the best validation that led here. What is in
            `best/` may be better, see `kerasrnn.training.checkpoints.manager`.
        best_loss: Its loss.
        stale: Number of validations since then.
        validation_sample: Characters that each validation may read, contexts
            included; 0 reads all that is held out, None is not yet decided.
        sampled: Step of the newest sample.
        rollbacks: How often the run went back after it had diverged, with
            this learning rate.
        pending: `[nats, characters, gradient norm, skipped, learning rate]`
            of each step that is not yet in a line of the history.
    """

    step: int = 0
    elapsed: float = 0.0
    seconds_per_step: float | None = None
    validated: int = 0
    validation_loss: float | None = None
    best_step: int = 0
    best_loss: float | None = None
    stale: int = 0
    validation_sample: int | None = None
    sampled: int = 0
    rollbacks: int = 0
    pending: list = dataclasses.field(default_factory=list)

    @property
    def is_validated(self) -> bool:
        """Whether the current step is validated; step 0 may be, too."""
        return self.validation_loss is not None and self.validated == self.step

    def has_recorded(self, line: dict) -> bool:
        """Whether a line of the history belongs to the steps that led here.

        Args:
            line: Has a `step`, and a `validation_loss` where it is that of a
                validation.
        """
        if line["step"] > self.step - len(self.pending):
            return False
        if "validation_loss" not in line:
            return True
        return self.validation_loss is not None and (
            line["step"] <= self.validated
        )

    def take_validation(self, loss: float) -> None:
        """Records the loss of a validation of the current step."""
        self.validated = self.step
        self.validation_loss = loss
        if self.best_loss is not None and not loss < self.best_loss:
            self.stale += 1
            return
        self.best_loss = loss
        self.best_step = self.step
        self.stale = 0

    def to_dict(self) -> dict:
        """Returns it in JSON's types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "RunStatus":
        """Returns what `to_dict` returned; other keys are left out.

        Raises:
            UserError: A value is missing or of another type.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        given, values = values, {**_older_values(values), **values}
        try:
            status = cls(**{name: values[name] for name in names})
            status.pending = [
                _pending_record(record) for record in status.pending
            ]
            status._check()
            if "seconds_per_step" not in given and status.step:
                status.seconds_per_step = status.elapsed / status.step
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"The checkpoint does not say where it stands: {error!r}."
            ) from None
        return status

    def _check(self):
        """Checks the types and ranges of what a file said."""
        for name in ("step", "validated", "best_step", "stale", "sampled"):
            _check_count(name, getattr(self, name))
        _check_count("rollbacks", self.rollbacks)
        _check_count("validation_sample", self.validation_sample or 0)
        if len(self.pending) > self.step:
            raise ValueError(f"{len(self.pending)} of {self.step} steps wait")
        numbers = [self.elapsed, self.seconds_per_step or 0.0]
        for loss in (self.validation_loss, self.best_loss):
            numbers.append(0.0 if loss is None else loss)
        for record in self.pending:
            numbers += record
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("a number is not finite")


def _older_values(values):
    """Returns what checkpoints of older versions do not say."""
    is_validated = values.get("validation_loss") is not None
    return {
        "rollbacks": 0,
        "seconds_per_step": None,
        # Their validations read all of the text.
        "validation_sample": 0 if is_validated else None,
    }


def _check_count(name, value):
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{name} is {value!r}")


def _pending_record(record):
    if type(record) is not list or len(record) not in (4, 5):
        raise ValueError(f"a step is recorded as {record!r}")
    if len(record) == 4:
        # Before there was loss scaling no step was skipped.
        record = [*record[:3], 0.0, record[3]]
    return record
