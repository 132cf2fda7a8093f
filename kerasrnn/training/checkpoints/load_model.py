"""The model of a working directory, as a Python user loads it."""

import os
from typing import NamedTuple

from kerasrnn.config import Config
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.checkpoints.checkpoint import Checkpoint
from kerasrnn.training.checkpoints.finding import find
from kerasrnn.training.step.flat_weights import make_model
from kerasrnn.training.step.flat_weights import set_weights


class LoadedModel(NamedTuple):
    """A trained model and what belongs to it.

    Attributes:
        model: The model, with its weights.
        vocabulary: The characters that its ids stand for.
        config: The configuration that it was trained with.
        info: What else the checkpoint records; `info["step"]` is the step.
    """

    model: CharRNN
    vocabulary: Vocabulary
    config: Config
    info: dict


def load_model(workdir: os.PathLike | str, which: str = "best") -> LoadedModel:
    """Returns the model that a working directory holds.

    Args:
        workdir: Directory that `kerasrnn-train` wrote.
        which: "best" (by validation loss) or "latest". Before the first
            validation there is no best checkpoint, and the latest is loaded.

    Returns:
        `(model, vocabulary, config, info)`; `info["step"]` is the step.

    Raises:
        UserError: There is no such checkpoint, or it is damaged.
    """
    saved = find(workdir, which).checkpoint
    return LoadedModel(
        model_of(saved),
        saved.vocabulary,
        saved.config,
        {"step": saved.step, **saved.info},
    )


def model_of(saved: Checkpoint) -> CharRNN:
    """Returns the model that a checkpoint holds the weights of.

    Raises:
        UserError: They do not fit.
    """
    model = make_model(saved.config.model)
    set_weights(model, saved.weights)
    return model
