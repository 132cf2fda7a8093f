"""Where a training stands, apart from its arrays."""

import dataclasses
import math

from kerasrnn.errors import UserError


@dataclasses.dataclass
class Position:
    """What changes from step to step, kept in every checkpoint.

    Attributes:
        step: Steps made.
        elapsed: Seconds of training, over all runs.
        validated: Step of the newest validation.
        validation_loss: Its loss, nats a character.
        best_step: Step of the best validation.
        best_loss: Its loss.
        stale: Validations since then.
        sampled: Step of the newest sample.
        rollbacks: Times that it went back after it had diverged.
        pending: `[nats, characters, gradient norm, skipped, learning rate]`
            of each step that is not yet in a line of the history.
    """

    step: int = 0
    elapsed: float = 0.0
    validated: int = 0
    validation_loss: float | None = None
    best_step: int = 0
    best_loss: float | None = None
    stale: int = 0
    sampled: int = 0
    rollbacks: int = 0
    pending: list = dataclasses.field(default_factory=list)

    def take_validation(self, loss: float) -> bool:
        """Takes notice of a validation; returns whether it is the best."""
        self.validated = self.step
        self.validation_loss = loss
        if self.best_loss is not None and not loss < self.best_loss:
            self.stale += 1
            return False
        self.best_loss = loss
        self.best_step = self.step
        self.stale = 0
        return True

    def to_dict(self) -> dict:
        """Returns it in JSON's types."""
        return dataclasses.asdict(self)

    def go_back_from(self, later: "Position") -> None:
        """Takes over what stays true when training goes back to here."""
        self.rollbacks = later.rollbacks + 1
        if later.best_step > self.best_step:
            # Its checkpoint has taken the place of the one known here.
            self.best_step, self.best_loss = later.best_step, later.best_loss
            self.stale = 0

    @classmethod
    def from_dict(cls, values: dict) -> "Position":
        """Returns what `to_dict` returned; other keys are left out.

        Raises:
            UserError: A value is missing or of another type.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        try:
            values = {"rollbacks": 0, **values}  # Older checkpoints lack it.
            position = cls(**{name: values[name] for name in names})
            numbers = [position.step, position.elapsed, position.stale]
            numbers += [position.validated, position.best_step]
            numbers += [position.sampled, position.best_loss or 0.0]
            numbers += [position.rollbacks]
            for record in position.pending:
                # Before there was loss scaling no step was skipped.
                if len(record) == 4:
                    record.insert(3, 0.0)
                nats, characters, norm, skipped, rate = record
                numbers += [nats, characters, norm, skipped, rate]
            if not all(math.isfinite(number) for number in numbers):
                raise ValueError("a number is not finite")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"The checkpoint does not say where it stands: {error!r}."
            ) from None
        return position
