"""What a training writes to its working directory, and resumes from."""

import dataclasses
from typing import NamedTuple

import numpy as np

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import state_sizes
from kerasrnn.text.corpus import Corpus
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import retention
from kerasrnn.training.checkpoints import rollback
from kerasrnn.training.checkpoints.best import Best
from kerasrnn.training.checkpoints.best import BestCheckpoint
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.run_status import Position
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.checkpoints.workdir import check_resumable
from kerasrnn.training.step.flat_weights import Layout
from kerasrnn.training.step.schedule import Plan


class Saved(NamedTuple):
    """What a training resumes from.

    Attributes:
        position: Where it stood.
        arrays: What `Trainer.snapshot` returned.
        states: The recurrent states of all streams, [B, units].
        finished: Why it was over there, or "".
        config: What it was trained by.
    """

    position: Position
    arrays: dict[str, np.ndarray]
    states: list[np.ndarray]
    finished: str
    config: Config


class Saver:
    """Saves one training's checkpoints and finds the newest.

    `config.json` and `vocabulary.json` are written once there is a checkpoint
    to resume from, so that a directory that has them without one is known to
    have lost a model.

    Args:
        config: What is trained, and how.
        workdir: Where to.
        corpus: The encoded text.
        layout: Where each weight stands in the flat vector.
        plan: The steps of the training.
    """

    def __init__(
        self,
        config: Config,
        workdir: Workdir,
        corpus: Corpus,
        layout: Layout,
        plan: Plan,
    ):
        self._config = config
        self._workdir = workdir
        self._corpus = corpus
        self._layout = layout
        self._plan = plan
        self._best: BestCheckpoint | None = None
        self._is_described = False

    @property
    def best(self) -> Best | None:
        """Which checkpoint is the best in the working directory."""
        return self._best_checkpoint().record

    def save(
        self,
        position: Position,
        arrays: dict[str, np.ndarray],
        states: list[np.ndarray],
        finished: str,
    ) -> None:
        """Saves a checkpoint that a training can resume from.

        Args:
            position: Where the training stands.
            arrays: What `Trainer.snapshot` returned.
            states: The recurrent states of all streams, [B, units].
            finished: Why nothing is left to do, or "".

        Raises:
            UserError: It could not be written.
        """
        arrays = dict(arrays)
        # What is evaluated is kept by name, all else as it is.
        weights = arrays.pop(_evaluated_name(self._config))
        for index, state in enumerate(states):
            arrays[f"state_{index}"] = state
        directory = self._workdir.checkpoints
        checkpoint.save(
            directory, self._checkpoint(position, weights, arrays, finished)
        )
        self._describe()
        retention.keep_newest(directory, self._config.training.keep)

    def save_best(self, position: Position, weights: np.ndarray) -> None:
        """Saves weights [P] that were just validated, if none are better.

        Raises:
            UserError: It could not be written.
        """
        best = self._best_checkpoint()
        if best.is_beaten_by(position.validation_loss):
            best.replace(self._checkpoint(position, weights, {}, ""))

    def set_aside_failed(self, failed: int, count: int) -> int:
        """Sets aside the checkpoints that only lead to a failed step.

        Args:
            failed: Number of the step.
            count: How many of the good checkpoints to go back.

        Returns:
            The step of the newest that stays; 0 if none does.
        """
        directory = self._workdir.checkpoints
        steps = checkpoint.steps(directory)
        good = rollback.good_steps(steps, failed)
        target = good[max(len(good) - count, 0)] if good else 0
        for step in steps:
            if step > target:
                retention.set_aside(directory, step, "diverged")
        return target

    def newest(self) -> Saved | None:
        """Returns what to resume from, or None at the very start.

        Raises:
            UserError: It does not fit the configuration or the text.
        """
        saved = self._workdir.latest()
        if saved is None:
            return None
        found = self._fitting(saved)
        self._describe()
        return found

    def load(self, step: int) -> Saved:
        """Returns the checkpoint of a step, to resume from.

        Raises:
            UserError: It is not there, or does not fit.
        """
        return self._fitting(
            checkpoint.load(self._workdir.checkpoints / str(step))
        )

    def _fitting(self, saved):
        path = self._workdir.path
        check_resumable(saved.config, self._config, path)
        if (
            saved.info.get("corpus_sha256") != self._corpus.sha256
            or saved.vocabulary != self._corpus.vocabulary
        ):
            raise UserError(
                f"The text is not the one that {path} was trained on. Put it "
                "back as it was, or give another --workdir."
            )
        arrays = dict(saved.training)
        arrays[_evaluated_name(saved.config)] = self._layout.pack(saved.weights)
        states = self._states(arrays)
        if states is None:
            raise UserError(
                f"The checkpoint of step {saved.step} in {path} has no "
                "recurrent states that fit."
            )
        return Saved(
            Position.from_dict(saved.info),
            arrays,
            states,
            str(saved.info.get("finished", "")),
            saved.config,
        )

    def _states(self, arrays):
        states = []
        batch_size = self._config.training.batch_size
        for index, size in enumerate(state_sizes(self._config.model)):
            state = arrays.pop(f"state_{index}", None)
            if state is None or state.shape != (batch_size, size):
                return None
            states.append(state)
        return states

    def _best_checkpoint(self):
        # Only the chief, who writes, may tidy up there.
        if self._best is None:
            self._best = BestCheckpoint(self._workdir.best)
        return self._best

    def _describe(self):
        if not self._is_described:
            self._workdir.write_configuration(
                self._config, self._corpus.vocabulary
            )
            self._is_described = True

    def _checkpoint(self, position, weights, arrays, finished):
        return Checkpoint(
            step=position.step,
            config=self._config,
            vocabulary=self._corpus.vocabulary,
            weights=self._layout.unpack(weights),
            training=arrays,
            info={
                **position.to_dict(),
                "split": self._config.data.split,
                "corpus_sha256": self._corpus.sha256,
                "steps_per_epoch": self._plan.steps_per_epoch,
                "limits": dataclasses.asdict(self._plan.limits),
                "finished": finished,
            },
        )


def _evaluated_name(config):
    return "average" if config.training.averaging else "weights"
