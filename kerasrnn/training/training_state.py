"""What a training carries from step to step, and from run to run."""

import time

import numpy as np

from kerasrnn.config import Config
from kerasrnn.model import state_sizes
from kerasrnn.text.corpus import Corpus
from kerasrnn.training import divergence
from kerasrnn.training import transfer
from kerasrnn.training.distribution import collect
from kerasrnn.training.distribution import distribute
from kerasrnn.training.divergence import Diverged
from kerasrnn.training.plan import Plan
from kerasrnn.training.position import Position
from kerasrnn.training.progress import Display
from kerasrnn.training.records import NoRecorder
from kerasrnn.training.records import Recorder
from kerasrnn.training.saving import Saver
from kerasrnn.training.shared_saving import SharedSaver
from kerasrnn.training.steps import Trainer
from kerasrnn.training.weights import initial_weights
from kerasrnn.training.workdir import Workdir
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
        saved_step: Step of the newest checkpoint.

    Raises:
        UserError: The newest checkpoint does not fit.
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
        self.layout, self.trainer = self._untrained()
        self._saver = SharedSaver(
            Saver(config, workdir, corpus, self.layout, plan), workers
        )
        self.position = Position()
        self._failures = 0  # since the newest checkpoint
        self._resume()
        self._is_saved()
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

    def save(self) -> None:
        """Saves the current step, unless that is done already.

        Raises:
            UserError: It could not be written.
            Diverged: It is none to go on from.
        """
        position = self.position
        if self.saved_step == position.step:
            return
        position.elapsed = self.elapsed
        arrays = self.trainer.snapshot()
        divergence.check_arrays(arrays.values(), position.step)
        self.recorder.sync()
        self._saver.save(
            position,
            arrays,
            collect(self._strategy, self.states, 0),
        )
        self._is_saved()
        self._failures = 0

    def save_best(self) -> None:
        """Saves the weights that are evaluated as the best so far.

        Raises:
            UserError: They could not be written.
        """
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
        divergence.check_rollback(
            diverged, self._config.training.on_nan, before.rollbacks, step
        )
        factor = divergence.RATE_FACTOR ** (before.rollbacks + 1)
        self._display.note(
            f"{diverged} Going back to step {step:,} with the learning rate "
            f"times {factor:g}."
        )
        if step == 0:
            _, self.trainer = self._untrained()
        self.position = Position()
        self._resume()
        self.position.go_back_from(before)
        self._is_saved()
        self.recorder.close()
        self.recorder = self._recorder()

    def _is_saved(self):
        self.saved_step = self.position.step
        self._saved_time = time.monotonic()

    def _untrained(self):
        """Returns the layout, and a trainer of step 0."""
        training = self._config.training
        layout, weights = initial_weights(self._config.model, training.seed)
        if (
            training.init_from
            and self._workers.is_chief  # its weights become those of all
            and not self._workdir.has_checkpoints()
        ):
            weights, note = transfer.first_weights(
                self._config,
                self._corpus.vocabulary,
                self._workdir.path,
                layout.unpack(weights),
            )
            weights = layout.pack(weights)
            self._display.note(note)
        return layout, Trainer(self._config, self._strategy, layout, weights)

    def _resume(self):
        newest = self._saver.newest()
        if newest is None:
            batch_size = self._config.training.batch_size
            states = [
                np.zeros([batch_size, size], np.float32)
                for size in state_sizes(self._config.model)
            ]
        else:
            self.position, arrays, states = newest
            self.trainer.restore(arrays)
            self._display.note(f"Going on from step {self.position.step:,}.")
        self.states = distribute(self._strategy, states, 0)

    def _recorder(self):
        if not self._workers.is_chief:
            return NoRecorder()
        return Recorder(self._workdir, self._plan, self.position)
