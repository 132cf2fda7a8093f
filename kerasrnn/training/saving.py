"""What a training writes to its working directory, and goes on from."""

import dataclasses

import numpy as np

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.model import state_sizes
from kerasrnn.text.corpus import Corpus
from kerasrnn.training import checkpoint
from kerasrnn.training import divergence
from kerasrnn.training import retention
from kerasrnn.training.plan import Plan
from kerasrnn.training.position import Position
from kerasrnn.training.weights import Layout
from kerasrnn.training.workdir import Workdir
from kerasrnn.training.workdir import check_resumable


class Saver:
    """Saves one training's checkpoints and finds the newest.

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

    def save(
        self,
        position: Position,
        arrays: dict[str, np.ndarray],
        states: list[np.ndarray],
    ) -> None:
        """Saves a checkpoint that a training can go on from.

        Args:
            position: Where the training stands.
            arrays: What `Trainer.snapshot` returned.
            states: The recurrent states of all streams, [B, units].

        Raises:
            UserError: It could not be written.
        """
        arrays = dict(arrays)
        # What is evaluated is kept by name, all else as it is.
        weights = arrays.pop(_evaluated_name(self._config))
        for index, state in enumerate(states):
            arrays[f"state_{index}"] = state
        directory = self._workdir.checkpoints
        self._write(directory, position, weights, arrays)
        retention.keep_newest(directory, self._config.training.keep)

    def save_best(self, position: Position, weights: np.ndarray) -> None:
        """Saves the weights [P] with the lowest validation loss so far.

        Raises:
            UserError: It could not be written.
        """
        self._write(self._workdir.best, position, weights, {})
        retention.keep_only(self._workdir.best, position.step)

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
        good = divergence.good_steps(steps, failed)
        target = good[max(len(good) - count, 0)] if good else 0
        for step in steps:
            if step > target:
                retention.set_aside(directory, step, "diverged")
        return target

    def newest(self, step: int | None = None):
        """Returns what to go on from, or None at the very start.

        Args:
            step: That of the checkpoint; None takes the newest intact one.

        Returns:
            `(position, arrays, states)`, see `save`.

        Raises:
            UserError: It does not fit the configuration or the text.
        """
        if step is None:
            saved = self._workdir.latest()
        else:
            saved = checkpoint.load(self._workdir.checkpoints / str(step))
        if saved is None:
            return None
        path = self._workdir.path
        check_resumable(saved.config, self._config, path)
        if saved.info.get("corpus_sha256") != self._corpus.sha256:
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
        return Position.from_dict(saved.info), arrays, states

    def _states(self, arrays):
        states = []
        batch_size = self._config.training.batch_size
        for index, size in enumerate(state_sizes(self._config.model)):
            state = arrays.pop(f"state_{index}", None)
            if state is None or state.shape != (batch_size, size):
                return None
            states.append(state)
        return states

    def _write(self, directory, position, weights, arrays):
        info = {
            **position.to_dict(),
            "split": self._config.data.split,
            "corpus_sha256": self._corpus.sha256,
            "steps_per_epoch": self._plan.steps_per_epoch,
            "limits": dataclasses.asdict(self._plan.limits),
            "finished": self._plan.is_over(
                position.step, position.elapsed, position.stale
            ),
        }
        checkpoint.save(
            directory,
            checkpoint.Checkpoint(
                step=position.step,
                config=self._config,
                vocabulary=self._corpus.vocabulary,
                weights=self._layout.unpack(weights),
                training=arrays,
                info=info,
            ),
        )


def _evaluated_name(config):
    return "average" if config.training.averaging else "weights"
