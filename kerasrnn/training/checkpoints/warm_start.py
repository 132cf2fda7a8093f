"""First weights from another model: the same characters, the same weights.

What belongs to a character moves to its id in the new vocabulary: its row of
the embedding (or of the first kernel, if characters are one-hot), its column
of the output kernel and its output bias. Everything else stays. So whatever is
read, the characters that both models know keep their logits, and with them
their probabilities relative to one another.

A new character is read by a row of fresh weights. It is predicted by the mean
of the kept characters' columns and biases (Hewitt, "Initializing
New Word Embeddings for Pretrained Language Models", 2021): by Jensen's
inequality K new characters then take from C kept ones no more than log(1 + K /
C) nats.

Shapes: V vocabulary size, E embedding size, U units, G gates.
"""

import dataclasses
import os
from typing import NamedTuple

import numpy as np

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation.paths import local_path
from kerasrnn.foundation.phrases import counted
from kerasrnn.text.vocabulary import UNKNOWN_ID
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.finding import find

# What decides which weights there are.
_SHAPE = ("cell", "units", "num_layers", "embedding_size")


@dataclasses.dataclass(frozen=True)
class Remapping:
    """Which characters two vocabularies share.

    Attributes:
        kept_from: Their ids in the old one, int [C], the unknown's first.
        kept_to: Their ids in the new one, int [C].
        new: Ids of the characters that only the new one has, int [K].
        dropped: Number of the characters that only the old one has.
    """

    kept_from: np.ndarray
    kept_to: np.ndarray
    new: np.ndarray
    dropped: int

    def __str__(self):
        return (
            f"{counted(len(self.kept_to) - 1, 'character')} kept, "
            f"{len(self.new):,} new, {self.dropped:,} dropped"
        )


def load_source(
    init_from: os.PathLike | str, workdir: os.PathLike | str
) -> Checkpoint:
    """Returns the model to start from: the best of a working directory.

    Args:
        init_from: That directory.
        workdir: The directory to train in.

    Raises:
        UserError: It holds no model, or is the one to train in.
    """
    init_from = local_path(init_from)
    if os.path.realpath(init_from) == os.path.realpath(workdir):
        raise UserError(
            f"--init_from and --workdir are both {init_from}: give another "
            "--workdir to start a new run, or leave out --init_from to "
            "resume."
        )
    if not init_from.is_dir():
        raise UserError(
            f"There is no directory {init_from}; give --init_from the "
            "--workdir of a run."
        )
    return find(init_from).checkpoint


class FirstWeights(NamedTuple):
    """What a run starts from.

    Attributes:
        weights: By name.
        note: What to show about them.
    """

    weights: dict[str, np.ndarray]
    note: str


def first_weights(
    config: Config,
    vocabulary: Vocabulary,
    workdir: os.PathLike | str,
    initial: dict[str, np.ndarray],
) -> FirstWeights:
    """Returns the weights that a run starts from, and a note on them.

    Args:
        config: The run's; `training.init_from` is the old model's working
            directory.
        vocabulary: The new model's.
        workdir: The directory to train in.
        initial: Fresh weights of the new model by name.

    Raises:
        UserError: The old model is not there, or does not fit.
    """
    source = load_source(config.training.init_from, workdir)
    check_shape(source.config, dataclasses.asdict(config.model))
    mapping = remapping(source.vocabulary, vocabulary)
    return FirstWeights(
        remapped_weights(source.weights, initial, mapping),
        f"Starting from step {source.step:,} of {config.training.init_from}: "
        f"{mapping}.",
    )


def model_fields(source: Config, given: dict) -> dict:
    """Returns the fields of the new model's configuration.

    Args:
        source: Of the model to start from.
        given: Fields that the user asks for; the others stay as they are.

    Raises:
        UserError: They ask for a network of another shape.
    """
    check_shape(source, given)
    fields = dataclasses.asdict(source.model) | given
    # The new text decides these.
    for name in ("vocabulary_size", "separator_id"):
        del fields[name]
    if "dropout_warmup_steps" not in given:
        # By rule, of the new text's length too; none if the rate is given.
        del fields["dropout_warmup_steps"]
        if "dropout" in given:
            fields["dropout_warmup_steps"] = 0
    return fields


def check_shape(source: Config, fields: dict) -> None:
    """Checks that fields of a `ModelConfig` fit the model to start from.

    Raises:
        UserError: They ask for a network of another shape.
    """
    there = dataclasses.asdict(source.model)
    wrong = [
        f"--{name} is {there[name]} there and {fields[name]} here"
        for name in _SHAPE
        if name in fields and fields[name] != there[name]
    ]
    if wrong:
        raise UserError(
            "The model of --init_from is a different network: "
            f"{'; '.join(wrong)}. Leave these flags out."
        )


def check_kind(source: Vocabulary, kind: str) -> None:
    """Checks that the new text is read as the old one was.

    Raises:
        UserError: One is read as bytes, the other as characters.
    """
    if source.kind != kind:
        raise UserError(
            f"The model of --init_from reads {source.kind}, so the text "
            f"cannot be read as {kind}; give --vocabulary={source.kind}."
        )


def remapping(old: Vocabulary, new: Vocabulary) -> Remapping:
    """Returns which characters two vocabularies share.

    Raises:
        UserError: They are of different kinds.
    """
    check_kind(old, new.kind)
    place = {c: index for index, c in enumerate(old.characters, 1)}
    kept = [
        (place[c], index)
        for index, c in enumerate(new.characters, 1)
        if c in place
    ]
    kept = np.array([(UNKNOWN_ID, UNKNOWN_ID), *kept])
    others = set(range(1, len(new))) - set(kept[:, 1].tolist())
    return Remapping(
        kept_from=kept[:, 0],
        kept_to=kept[:, 1],
        new=np.array(sorted(others), np.int64),
        dropped=len(old) - len(kept),
    )


def remapped_weights(
    source: dict[str, np.ndarray],
    initial: dict[str, np.ndarray],
    mapping: Remapping,
) -> dict[str, np.ndarray]:
    """Returns the new model's first weights.

    Args:
        source: Weights of the old model by name.
        initial: Fresh weights of the new one by name, in the order of
            `CharRNN.weights`.
        mapping: Which characters move where.
    """
    names = list(initial)
    # [V, E] of the embedding or [V, G * U] of the first kernel; both first.
    inputs, output_kernel, output_bias = names[0], *names[-2:]
    weights = dict(source)
    weights[inputs] = _moved(source[inputs], initial[inputs], mapping)
    for name in (output_kernel, output_bias):
        # Characters are the last dimension of [U, V] and of [V].
        moved = _moved(source[name].T, initial[name].T, mapping)
        kept = moved[mapping.kept_to[1:]]
        if len(kept):
            moved[mapping.new] = kept.mean(axis=0)
        weights[name] = moved.T
    return {name: weights[name] for name in names}


def _moved(source, initial, mapping):
    """Rows of `source` at their new places, those of `initial` elsewhere."""
    moved = initial.copy()
    moved[mapping.kept_to] = source[mapping.kept_from]
    return moved
