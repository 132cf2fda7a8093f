"""The events of a run, and who observes them.

The loop reports what happens to `Observers` and knows none of them:
`history.jsonl`, TensorBoard and the display are three, see `all_observers`.
"""

import dataclasses
from collections.abc import Sequence

from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.evaluation.loss_units import Evaluation


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run has come, and how fast it is.

    Attributes:
        step: Steps made.
        total_steps: Steps to make, as far as is known.
        epoch: Passes over the training text, with a fraction.
        loss: Of the newest steps, in nats per character.
        characters_per_second: Read in training.
        seconds_left: Until the last step.
    """

    step: int
    total_steps: int
    epoch: float
    loss: float
    characters_per_second: float
    seconds_left: float


@dataclasses.dataclass(frozen=True)
class Validation:
    """A validation and its result.

    Attributes:
        step: Steps made before it.
        split: How the text that was held out was chosen.
        result: The loss.
        is_best: Whether the model is the best so far.
        is_asked_for: Whether the user said when to validate, or the run ends.
        remark: What there is to say about the loss, or "".
    """

    step: int
    split: str
    result: Evaluation
    is_best: bool
    is_asked_for: bool
    remark: str = ""


class Observer:
    """Is told what happens in a run; by default it ignores everything.

    What a method raises ends the run. After `line_ended` the current step is
    then not saved, as its records may be incomplete; after the last line of a
    run it is.
    """

    def started(self, status: RunStatus) -> None:
        """The run begins, resumes or goes back: this is how far it is."""

    def line_ended(self, line: dict) -> None:
        """A line of the history is complete (see `lines.HistoryLines`)."""

    def progressed(self, progress: Progress) -> None:
        """Some steps were made."""

    def validated(self, validation: Validation) -> None:
        """The current step was validated."""

    def sampled(self, step: int, text: str) -> None:
        """The model generated a text after a step."""

    def activity(self, name: str, share: float) -> None:
        """Something other than steps is going on, a share of it done."""

    def note(self, text: str) -> None:
        """There is something to tell the user."""

    def saving(self) -> None:
        """A checkpoint is about to be saved: make durable what came before."""

    def close(self) -> None:
        """Nothing more will happen."""


class Observers(Observer):
    """Passes each event to all observers, in their order."""

    def __init__(self, observers: Sequence[Observer]):
        self._observers = tuple(observers)

    def started(self, status: RunStatus) -> None:
        """See `Observer.started`."""
        for observer in self._observers:
            observer.started(status)

    def line_ended(self, line: dict) -> None:
        """See `Observer.line_ended`."""
        for observer in self._observers:
            observer.line_ended(line)

    def progressed(self, progress: Progress) -> None:
        """See `Observer.progressed`."""
        for observer in self._observers:
            observer.progressed(progress)

    def validated(self, validation: Validation) -> None:
        """See `Observer.validated`."""
        for observer in self._observers:
            observer.validated(validation)

    def sampled(self, step: int, text: str) -> None:
        """See `Observer.sampled`."""
        for observer in self._observers:
            observer.sampled(step, text)

    def activity(self, name: str, share: float) -> None:
        """See `Observer.activity`."""
        for observer in self._observers:
            observer.activity(name, share)

    def note(self, text: str) -> None:
        """See `Observer.note`."""
        for observer in self._observers:
            observer.note(text)

    def saving(self) -> None:
        """See `Observer.saving`."""
        for observer in self._observers:
            observer.saving()

    def close(self) -> None:
        """See `Observer.close`."""
        for observer in self._observers:
            observer.close()
