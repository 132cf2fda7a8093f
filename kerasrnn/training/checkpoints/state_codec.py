"""The state of a run as a checkpoint, and back, checked before it is used."""

import dataclasses
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.model.weights import state_sizes
from kerasrnn.text.corpus import Corpus
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.resuming import check_resumable
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.step.flat_weights import Layout
from kerasrnn.training.step.schedule import Plan


class SavedState(NamedTuple):
    """What a run resumes from.

    Attributes:
        status: How far it had come.
        arrays: What `Trainer.snapshot` returned.
        states: The recurrent states of all streams, each [B, units].
        finished: Why it was over there, or "".
        config: What it was trained with.
    """

    status: RunStatus
    arrays: dict[str, np.ndarray]
    states: list[np.ndarray]
    finished: str
    config: Config


@dataclasses.dataclass(frozen=True)
class StateCodec:
    """Makes checkpoints of one run's state, and reads them.

    Attributes:
        config: What is trained, and how.
        workdir: Where; errors name it.
        corpus: The encoded text.
        layout: Where each weight is in the flat vector.
        plan: The steps of the run.
        chosen: The fields of the configuration that a rule chose.
    """

    config: Config
    workdir: Workdir
    corpus: Corpus
    layout: Layout
    plan: Plan
    chosen: Collection[str]

    def encode(
        self,
        status: RunStatus,
        arrays: dict[str, np.ndarray],
        states: list[np.ndarray],
        finished: str,
    ) -> Checkpoint:
        """Returns a checkpoint that the run can resume from.

        Args:
            status: How far the run has come.
            arrays: What `Trainer.snapshot` returned.
            states: The recurrent states of all streams, each [B, units].
            finished: Why nothing is left to do, or "".
        """
        training = dict(arrays)
        # What is evaluated is kept by name, all else as it is.
        weights = training.pop(_evaluated_name(self.config))
        for index, state in enumerate(states):
            training[f"state_{index}"] = state
        return self._checkpoint(status, weights, training, finished)

    def encode_weights(
        self, status: RunStatus, weights: np.ndarray
    ) -> Checkpoint:
        """Returns a checkpoint of the evaluated weights [P] alone."""
        return self._checkpoint(status, weights, {}, "")

    def decode(self, saved: Checkpoint) -> SavedState:
        """Returns the state that a checkpoint holds.

        Raises:
            UserError: It does not fit the configuration or the text.
        """
        path = self.workdir.path
        check_resumable(saved.config, self.config, path)
        if (
            saved.info.get("corpus_sha256") != self.corpus.sha256
            or saved.vocabulary != self.corpus.vocabulary
        ):
            raise UserError(
                f"The text is not the one that {path} was trained on. Put it "
                "back as it was, or give another --workdir."
            )
        arrays = dict(saved.training)
        arrays[_evaluated_name(saved.config)] = self.layout.pack(saved.weights)
        states = self._take_states(arrays)
        if states is None:
            raise UserError(
                f"The checkpoint of step {saved.step} in {path} has no "
                "recurrent states that fit."
            )
        return SavedState(
            RunStatus.from_dict(saved.info),
            arrays,
            states,
            str(saved.info.get("finished", "")),
            saved.config,
        )

    def zero_states(self) -> list[np.ndarray]:
        """Returns the recurrent states at the very start, each [B, units]."""
        batch_size = self.config.training.batch_size
        return [
            np.zeros([batch_size, size], np.float32)
            for size in state_sizes(self.config.model)
        ]

    def _take_states(self, arrays):
        """Takes the recurrent states out of arrays; None if one is wrong."""
        states = []
        for index, zeros in enumerate(self.zero_states()):
            state = arrays.pop(f"state_{index}", None)
            if state is None or state.shape != zeros.shape:
                return None
            states.append(state)
        return states

    def _checkpoint(self, status, weights, training, finished):
        return Checkpoint(
            step=status.step,
            config=self.config,
            vocabulary=self.corpus.vocabulary,
            weights=self.layout.unpack(weights),
            training=training,
            info={
                **status.to_dict(),
                "split": self.config.data.split,
                "corpus_sha256": self.corpus.sha256,
                "steps_per_epoch": self.plan.steps_per_epoch,
                "limits": dataclasses.asdict(self.plan.limits),
                "chosen": sorted(self.chosen),
                "finished": finished,
            },
        )


def _evaluated_name(config):
    return "average" if config.training.averaging else "weights"
