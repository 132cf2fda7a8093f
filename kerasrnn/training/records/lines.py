"""Groups steps into lines of the history."""

from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.evaluation.loss_units import Evaluation
from kerasrnn.training.evaluation.loss_units import bits
from kerasrnn.training.records.history import short
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.step.trainer import StepRecords

# Which steps share a line must not depend on speed or interruptions.
_STEPS_PER_LINE = 10


class HistoryLines:
    """Groups the steps of a run into lines, and passes these on.

    A line stands for the steps since the one before. It ends at every tenth
    step, and at a validation, whose result it holds; so a tenth step's line
    ends only when the next step is made.

    At any time the steps in lines and those in `status.pending` are together
    all steps up to the current one, each once; but after `finish` all of them
    are in lines.

    Args:
        status: How far the run has come; its `pending` is changed here.
        steps_per_epoch: Steps in one pass over the text.
        observer: Receives each line.

    Attributes:
        recent_loss: That of the newest steps, in nats per character.
    """

    def __init__(
        self, status: RunStatus, steps_per_epoch: int, observer: Observer
    ):
        self._status = status
        self._steps_per_epoch = steps_per_epoch
        self._observer = observer
        self._per_second: float | None = None  # before the first call
        self.recent_loss = status.validation_loss or 0.0

    def add_steps(
        self,
        first_step: int,
        records: StepRecords,
        rates: list[float],
        characters_per_second: float,
    ) -> None:
        """Adds the records of the steps of one call.

        Args:
            first_step: Steps made before them.
            records: What they report.
            rates: Their learning rates.
            characters_per_second: Of this call.
        """
        lines = self._ended_line(first_step)
        self._per_second = characters_per_second
        for index, values in enumerate(zip(*records, strict=True)):
            if index:
                lines += self._ended_line(first_step + index)
            self._status.pending.append(
                [*(short(value) for value in values), rates[index]]
            )
        nats, characters = records.nats.sum(), records.characters.sum()
        self.recent_loss = float(nats / max(characters, 1))
        for line in lines:
            self._observer.line_ended(line)

    def add_validation(self, split: str, result: Evaluation) -> None:
        """Adds the result of a validation of the current step."""
        line = self._take_line(self._status.step)
        line["validation_loss"] = result.loss
        line["validation_bits"] = result.bits
        line["validation_characters"] = result.characters
        if result.sampled_from:
            line["held_out_characters"] = result.sampled_from
        line["split"] = split
        self._observer.line_ended(line)

    def finish(self) -> None:
        """Ends the line of the last steps, if no validation followed them.

        They stay pending: if the run is extended, History drops this line,
        and its steps share one with those that follow.
        """
        if self._status.pending:
            self._observer.line_ended(self._line(self._status.step))

    def _ended_line(self, step):
        """Returns a list of the line that ends with `step`, if one does."""
        if step % _STEPS_PER_LINE or not self._status.pending:
            return []
        return [self._take_line(step)]

    def _take_line(self, step):
        line = self._line(step)
        self._status.pending.clear()
        return line

    def _line(self, step):
        pending = self._status.pending
        line = {"step": step, "epoch": step / self._steps_per_epoch}
        if pending:
            nats, characters, norms, skipped, rates = zip(*pending, strict=True)
            loss = sum(nats) / max(sum(characters), 1)
            line["loss"] = short(loss)
            line["bits"] = short(bits(loss))
            line["learning_rate"] = short(rates[-1])
            made = len(norms) - sum(skipped)  # their norms are 0
            line["gradient_norm"] = short(sum(norms) / max(made, 1))
            if any(skipped):
                line["skipped_steps"] = int(sum(skipped))
            if self._per_second is not None:
                line["characters_per_second"] = round(self._per_second, 1)
            line["losses"] = [
                short(n / max(c, 1))
                for n, c in zip(nats, characters, strict=True)
            ]
        return line
