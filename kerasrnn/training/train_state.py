"""What a training carries from step to step, and from run to run."""

import time

import numpy as np

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import state_sizes
from kerasrnn.text.corpus import Corpus
from kerasrnn.training.checkpoints import rollback
from kerasrnn.training.checkpoints import warm_start
from kerasrnn.training.checkpoints.best import Best
from kerasrnn.training.checkpoints.manager import Saver
from kerasrnn.training.checkpoints.rollback import Diverged
from kerasrnn.training.checkpoints.run_status import Position
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.records.display import Display
from kerasrnn.training.records.recorder import NoRecorder
from kerasrnn.training.records.recorder import Recorder
from kerasrnn.training.shared_saving import SharedSaver
from kerasrnn.training.step.devices import collect
from kerasrnn.training.step.devices import distribute
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.schedule import Plan
from kerasrnn.training.step.trainer import Trainer
from kerasrnn.training.workers import Workers


class TrainingState:
    """All that a checkpoint holds, from the newest one in the directory on.

    All workers call its methods together.

    Args:
        config: What is trained, and how.
        workdir: Where checkpoints and the history are.
        corpus: The encoded text.
        plan: The steps of the training.
        workers: The processes that train together.
        display: Where to say what it starts from.

    Attributes:
        layout: Where each weight stands in the flat vector.
        trainer: Weights, averages and the optimizer's slots.
        states: Recurrent states of all streams, see `distribute`.
        position: Where the training stands.
        recorder: The history up to there.
        save_seconds: How long the newest checkpoint took; 0 is not known.

    Raises:
        UserError: The newest checkpoint does not fit, or has gone.
    """

    def __init__(
        self,
        config: Config,
        workdir: Workdir,
        corpus: Corpus,
        plan: Plan,
        workers: Workers,
        display: Display,
    ):
        self._config = config
        self._workdir = workdir
        self._corpus = corpus
        self._plan = plan
        self._workers = workers
        self._display = display
        self._strategy = workers.strategy
        if workers.is_chief and not workdir.has_checkpoints():
            workdir.check_has_no_model()
        self.layout, self.trainer = self._untrained()
        self._saver = SharedSaver(
            Saver(config, workdir, corpus, self.layout, plan), workers
        )
        self.position = Position()
        self.save_seconds = 0.0
        self._failures = 0  # since the newest checkpoint
        saved = self._resume()
        if saved is not None:
            self._take_learning_rate(saved.config.training.learning_rate)
        self._note_saved(saved.finished if saved else "")
        self.recorder = self._recorder()
        self._started = time.monotonic() - self.position.elapsed

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, over all runs."""
        return time.monotonic() - self._started

    @property
    def unsaved(self) -> float:
        """Seconds since the newest checkpoint."""
        return time.monotonic() - self._saved_time

    @property
    def best(self) -> Best | None:
        """Which checkpoint is the best; known to the chief alone."""
        return self._saver.best

    def save(self, finished: str = "") -> None:
        """Saves where the training stands, unless that is done already.

        It is when a checkpoint says the same, not when it is of the same
        step: a validation after it changes what is best, and for how long.

        Args:
            finished: Why nothing is left to do, or "".

        Raises:
            UserError: It could not be written.
            Diverged: It is none to resume from.
        """
        position = self.position
        if self._content() == self._saved_content and (
            finished in ("", self._finished)
        ):
            return
        started = time.monotonic()
        position.elapsed = self.elapsed
        arrays = self.trainer.snapshot()
        rollback.check_arrays(arrays.values(), position.step)
        self.recorder.sync()
        self._saver.save(
            position,
            arrays,
            collect(self._strategy, self.states, 0),
            finished,
        )
        if position.step > self._saved_content["step"]:
            self._failures = 0
        self._note_saved(finished)
        self._has_checkpoint = True
        self.save_seconds = time.monotonic() - started

    def save_best(self) -> None:
        """Saves the weights that were just validated, if none are better.

        Raises:
            UserError: They could not be written.
            Diverged: They are none to resume from.
        """
        # Whoever resumes needs more than the best weights, and validates on
        # the same sample.
        saved_sample = self._saved_content["validation_sample"]
        if (
            not self._has_checkpoint
            or self.position.validation_sample != saved_sample
        ):
            self.save()
        self.position.elapsed = self.elapsed
        self._saver.save_best(
            self.position, self.trainer.evaluation_weights.numpy()
        )

    def go_back(self, diverged: Diverged) -> None:
        """Goes back to before the training diverged.

        Raises:
            UserError: The training is to end there.
        """
        before = self.position
        self._failures += 1
        step = self._saver.set_aside_failed(diverged.step, self._failures)
        rollback.check_rollback(
            diverged, self._config.training.on_nan, before.rollbacks, step
        )
        factor = rollback.RATE_FACTOR ** (before.rollbacks + 1)
        self._display.note(
            f"{diverged} Going back to step {step:,} with the learning rate "
            f"times {factor:g}."
        )
        if step == 0:
            _, self.trainer = self._untrained()
        self.position = Position()
        saved = self._resume()
        self.position.rollbacks = before.rollbacks + 1
        self.position.validation_sample = before.validation_sample
        self._note_saved(saved.finished if saved else "")
        self.recorder.close()
        self.recorder = self._recorder()

    def _content(self):
        """What a checkpoint says, but for the time, which never stands."""
        content = self.position.to_dict()
        del content["elapsed"], content["seconds_per_step"]
        return content

    def _note_saved(self, finished):
        self._finished = finished
        self._saved_content = self._content()
        self._saved_time = time.monotonic()

    def _counts(self):
        ranges = self._corpus.split_ranges(
            "train", self._config.training.sequence_length
        )
        return self._corpus.counts(ranges)

    def _untrained(self):
        """Returns the layout, and a trainer of step 0."""
        training = self._config.training
        layout, weights = initial_weights(
            self._config.model,
            training.seed,
            None if self._workdir.has_checkpoints() else self._counts(),
        )
        if (
            training.init_from
            and self._workers.is_chief  # its weights become those of all
            and not self._workdir.has_checkpoints()
        ):
            weights, note = warm_start.first_weights(
                self._config,
                self._corpus.vocabulary,
                self._workdir.path,
                layout.unpack(weights),
            )
            weights = layout.pack(weights)
            self._display.note(note)
        return layout, Trainer(self._config, self._strategy, layout, weights)

    def _resume(self):
        """Takes over the newest checkpoint and returns it, or None."""
        saved = self._saver.newest()
        self._has_checkpoint = saved is not None
        if saved is None:
            batch_size = self._config.training.batch_size
            states = [
                np.zeros([batch_size, size], np.float32)
                for size in state_sizes(self._config.model)
            ]
            self.states = distribute(self._strategy, states, 0)
            return None
        self.position = saved.position
        try:
            self.trainer.restore(saved.arrays)
        except UserError as error:
            path = self._workdir.checkpoints / str(self.position.step)
            raise UserError(
                f"{path} is no checkpoint that this training can resume from: "
                f"{error}. Remove it to resume from the one before."
            ) from None
        self.states = distribute(self._strategy, saved.states, 0)
        self._display.note(f"Going on from step {self.position.step:,}.")
        return saved

    def _take_learning_rate(self, before):
        """Lets a new learning rate count as given, without a rollback's factor.

        Args:
            before: That of the run before this one.
        """
        rollbacks = self.position.rollbacks
        if not rollbacks:
            return
        rate = self._config.training.learning_rate
        factor = rollback.RATE_FACTOR**rollbacks
        if rate != before:
            self.position.rollbacks = 0
            self._display.note(
                f"The learning rate is {rate:g} as given, no longer "
                f"{before:g} times {factor:g} (rollbacks: {rollbacks})."
            )
        else:
            self._display.note(
                f"The learning rate is {rate:g} times {factor:g} (rollbacks: "
                f"{rollbacks}); another --learning_rate counts as given."
            )

    def _recorder(self):
        if not self._workers.is_chief:
            return NoRecorder()
        return Recorder(
            self._workdir, self._plan.steps_per_epoch, self.position
        )
