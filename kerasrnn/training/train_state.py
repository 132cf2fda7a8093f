"""What a run carries from step to step, and from process to process."""

import time
from typing import Any

from kerasrnn.errors import UserError
from kerasrnn.training.checkpoints import rollback
from kerasrnn.training.checkpoints import warm_start
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.finding import Best
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.checkpoints.state_codec import SavedState
from kerasrnn.training.checkpoints.state_codec import StateCodec
from kerasrnn.training.records.lines import HistoryLines
from kerasrnn.training.run_context import RunContext
from kerasrnn.training.step.devices import collect
from kerasrnn.training.step.devices import distribute
from kerasrnn.training.step.divergence import Diverged
from kerasrnn.training.step.divergence import check_arrays
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.trainer import Trainer


class TrainingState:
    """All that a checkpoint holds, taken from the newest one at the start.

    All workers call its methods together; only the chief writes.

    Args:
        context: What the run consists of.

    Attributes:
        layout: Where each weight is in the flat vector.
        trainer: Weights, averages and the optimizer's slots.
        states: Recurrent states of all streams, see `distribute`.
        status: How far the run has come.
        lines: The history up to there.
        save_seconds: How long the newest checkpoint took; 0 is not known.

    Raises:
        UserError: The newest checkpoint does not fit, or is gone.
    """

    status: RunStatus
    states: Any

    def __init__(self, context: RunContext):
        self._context = context
        self._config = context.config
        self._workers = context.workers
        self._checkpoints = context.checkpoints
        self._observer = context.observer
        workdir = context.workdir
        if self._workers.is_chief and not workdir.has_checkpoints():
            workdir.check_has_no_model()
        self.layout, weights = self._first_weights()
        self.trainer = Trainer(
            self._config, self._workers.strategy, self.layout, weights
        )
        self._codec = StateCodec(
            self._config,
            workdir,
            context.corpus,
            self.layout,
            context.plan,
            context.chosen,
        )
        self.save_seconds = 0.0
        self._failures = 0  # since the newest checkpoint
        saved = self._resume()
        if saved is not None:
            self._resume_learning_rate(saved)
        self._start_records(saved)
        self._started = time.monotonic() - self.status.elapsed

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, over all processes."""
        return time.monotonic() - self._started

    @property
    def seconds_unsaved(self) -> float:
        """Seconds since the newest checkpoint."""
        return time.monotonic() - self._saved_time

    @property
    def best(self) -> Best | None:
        """Which checkpoint is the best; only the chief knows it."""
        return self._checkpoints.best if self._workers.is_chief else None

    def save(self, finished: str = "") -> None:
        """Saves a checkpoint, unless the newest one says the same.

        That it is of the same step is not enough: a validation after it
        changes which model is the best, and for how long.

        Args:
            finished: Why nothing is left to do, or "".

        Raises:
            UserError: It could not be written.
            Diverged: No run can resume from it.
        """
        status = self.status
        if self._content() == self._saved_content and (
            finished in ("", self._finished)
        ):
            return
        started = time.monotonic()
        status.elapsed = self.elapsed
        arrays = self.trainer.snapshot()
        check_arrays(arrays.values(), status.step)
        states = collect(self._workers.strategy, self.states, 0)
        self._observer.saving()
        if self._workers.is_chief:
            self._checkpoints.save(
                self._codec.encode(status, arrays, states, finished)
            )
        if status.step > self._saved_content["step"]:
            self._failures = 0
        self._note_saved(finished)
        self._has_checkpoint = True
        self.save_seconds = time.monotonic() - started

    def save_best(self) -> None:
        """Saves the weights that were just validated, if they are the best.

        Raises:
            UserError: They could not be written.
            Diverged: No run can resume from them.
        """
        # A run that resumes needs more than the best weights, and must
        # validate on the same sample.
        saved_sample = self._saved_content["validation_sample"]
        if (
            not self._has_checkpoint
            or self.status.validation_sample != saved_sample
        ):
            self.save()
        self.status.elapsed = self.elapsed
        if self._workers.is_chief:
            weights = self.trainer.evaluation_weights.numpy()
            self._checkpoints.save_best(
                self._codec.encode_weights(self.status, weights)
            )

    def roll_back(self, diverged: Diverged) -> None:
        """Goes back to before the run diverged.

        Raises:
            UserError: It may not go back, or not again.
        """
        before = self.status
        self._failures += 1
        target = 0
        if self._workers.is_chief:
            target = self._checkpoints.set_aside_failed(
                diverged.step, self._failures
            )
        target = int(self._workers.broadcast([target])[0])
        rollback.check_allowed(
            diverged, self._config.training.on_nan, before.rollbacks, target
        )
        rollbacks = before.rollbacks + 1
        self._observer.note(rollback.announcement(diverged, target, rollbacks))
        if target == 0:
            _, weights = self._first_weights()
            self.trainer = Trainer(
                self._config, self._workers.strategy, self.layout, weights
            )
        saved = self._resume()
        self.status.rollbacks = rollbacks
        self.status.validation_sample = before.validation_sample
        self._start_records(saved)

    def _first_weights(self):
        """Returns the layout and the weights [P] of step 0."""
        training = self._config.training
        begins = not self._context.workdir.has_checkpoints()
        layout, weights = initial_weights(
            self._config.model,
            training.seed,
            self._character_counts() if begins else None,
        )
        # The chief's weights become those of all workers.
        if begins and training.init_from and self._workers.is_chief:
            first = warm_start.first_weights(
                self._config,
                self._context.corpus.vocabulary,
                self._context.workdir.path,
                layout.unpack(weights),
            )
            weights = layout.pack(first.weights)
            self._observer.note(first.note)
        return layout, weights

    def _character_counts(self):
        """Returns how often each id occurs in the training text, [V]."""
        ranges = self._context.corpus.split_ranges(
            "train", self._config.training.sequence_length
        )
        return self._context.corpus.counts(ranges)

    def _resume(self) -> SavedState | None:
        """Takes over the newest checkpoint and returns it, or None."""
        checkpoint = self._newest()
        self._has_checkpoint = checkpoint is not None
        if checkpoint is None:
            self.status = RunStatus()
            states = self._codec.zero_states()
            self.states = distribute(self._workers.strategy, states, 0)
            return None
        saved = self._codec.decode(checkpoint)
        self.status = saved.status
        try:
            self.trainer.restore(saved.arrays)
        except UserError as error:
            path = self._context.workdir.checkpoints / str(saved.status.step)
            raise UserError(
                f"{path} is intact, but not what this version of kerasrnn "
                f"resumes from: {error}. Resume with the version that wrote "
                "it, or give another --workdir."
            ) from None
        self.states = distribute(self._workers.strategy, saved.states, 0)
        if self._workers.is_chief:
            vocabulary = self._context.corpus.vocabulary
            self._checkpoints.describe(self._config, vocabulary)
        self._checkpoints.release()
        self._observer.note(f"Resuming from step {self.status.step:,}.")
        return saved

    def _newest(self) -> Checkpoint | None:
        """Returns the newest checkpoint: the one that the chief finds."""
        found = self._checkpoints.newest() if self._workers.is_chief else None
        step = -1 if found is None else found.step
        step = int(self._workers.broadcast([step])[0])
        if step < 0 or self._workers.is_chief:
            return found
        try:
            return self._checkpoints.load(step)
        except UserError as error:
            raise UserError(
                f"{error} The chief resumes from it: all workers must see "
                "the same working directory. Give --workdir on a file system "
                "that they share."
            ) from None

    def _resume_learning_rate(self, saved):
        resumed = rollback.resumed_rate(
            self.status.rollbacks,
            self._config.training.learning_rate,
            saved.config.training.learning_rate,
        )
        self.status.rollbacks = resumed.rollbacks
        if resumed.note:
            self._observer.note(resumed.note)

    def _start_records(self, saved):
        self._note_saved(saved.finished if saved else "")
        self._observer.started(self.status)
        self.lines = HistoryLines(
            self.status, self._context.plan.steps_per_epoch, self._observer
        )

    def _content(self):
        """What a checkpoint would say, except for the time, which runs on."""
        content = self.status.to_dict()
        del content["elapsed"], content["seconds_per_step"]
        return content

    def _note_saved(self, finished):
        self._finished = finished
        self._saved_content = self._content()
        self._saved_time = time.monotonic()
