"""Every step's loss, in lines of the history and in TensorBoard."""

import time

from kerasrnn.training.checkpoints.run_status import Position
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.evaluation.loss_units import Evaluation
from kerasrnn.training.evaluation.loss_units import bits
from kerasrnn.training.records.history import History
from kerasrnn.training.records.history import Scalars
from kerasrnn.training.records.history import short
from kerasrnn.training.step.trainer import StepRecords

# Which steps share a line must not depend on speed or interruptions.
_STEPS_A_LINE = 10


class NoRecorder:
    """Records nothing: the chief's `Recorder` does, for all workers."""

    recent_loss = 0.0

    def steps(self, *_):
        """Takes the records of steps."""

    def validation(self, *_):
        """Takes the result of a validation."""

    def sync(self):
        """Nothing has to become durable."""

    def finish(self):
        """Nothing is left to be written."""

    def close(self):
        """Nothing is open."""


class Recorder:
    """Writes `history.jsonl` and the scalars of one training.

    A line stands for the steps since the one before. It ends at every tenth
    step, and at a validation, whose result it has; so a tenth step's line is
    written only when the next step is made.

    At any time the steps that are written and those in `position.pending` are
    all steps up to the current one, each once. Lines that the position does
    not know of were written by a run that came further than its checkpoints:
    they are dropped, as these steps are made again.

    Args:
        workdir: Where to.
        steps_per_epoch: Steps in one pass over the text.
        position: Where the training stands; its `pending` is kept here.
    """

    def __init__(
        self, workdir: Workdir, steps_per_epoch: int, position: Position
    ):
        self._steps_per_epoch = steps_per_epoch
        self._position = position
        self._per_second = 0.0
        self._history = History(workdir.history)
        self._history.keep(position.has_recorded)
        self._scalars = Scalars(
            workdir.logs, position.step - len(position.pending)
        )
        self.recent_loss = position.validation_loss or 0.0

    def steps(
        self,
        first_step: int,
        records: StepRecords,
        rates: list[float],
        characters_per_second: float,
    ) -> None:
        """Takes the records of steps that one call ran."""
        lines = self._ended_line(first_step)
        self._per_second = characters_per_second
        for index, values in enumerate(zip(*records, strict=True)):
            if index:
                lines += self._ended_line(first_step + index)
            self._position.pending.append(
                [*(short(value) for value in values), rates[index]]
            )
        nats, characters = records.nats.sum(), records.characters.sum()
        self.recent_loss = float(nats / max(characters, 1))
        self._write(lines)

    def validation(self, split: str, result: Evaluation) -> None:
        """Takes the result of a validation after the current step."""
        line = self._line(self._position.step)
        line["validation_loss"] = result.loss
        line["validation_bits"] = result.bits
        line["validation_characters"] = result.characters
        if result.sampled_from:
            line["held_out_characters"] = result.sampled_from
        line["split"] = split
        self._write([line])
        self._scalars.flush()

    def sync(self) -> None:
        """Makes all lines durable."""
        self._history.sync()
        self._scalars.flush()

    def finish(self) -> None:
        """Writes the last steps, where no validation follows them."""
        if self._position.pending:
            self._write([self._line(self._position.step)])
        self.sync()

    def close(self) -> None:
        """Ends TensorBoard's file."""
        self._scalars.close()

    def _ended_line(self, step):
        """Returns a list of the line that ends with `step`, if one does."""
        if step % _STEPS_A_LINE or not self._position.pending:
            return []
        return [self._line(step)]

    def _line(self, step):
        pending = self._position.pending
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
            line["characters_per_second"] = round(self._per_second, 1)
            line["losses"] = [
                short(n / max(c, 1))
                for n, c in zip(nats, characters, strict=True)
            ]
            pending.clear()
        return line

    def _write(self, lines):
        self._history.append(lines)
        for line in lines:
            values = {
                name: value
                for name, value in line.items()
                if isinstance(value, float) and name != "epoch"
            }
            self._scalars.add(line["step"], time.time(), values)
