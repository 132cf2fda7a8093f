"""How weights start: Keras' way, char-rnn's or torch-rnn's."""

from typing import Any

import keras
import numpy as np

from kerasrnn.config import ModelConfig
from kerasrnn.layers.kinds import kind_of

# Standard deviation of the weights that belong to single characters.
_DEVIATION_OF_CHARACTERS = 1.6


def layer_initializers(config: ModelConfig, index: int) -> dict:
    """Returns the initializer arguments of recurrent layer `index`."""
    if config.initializer == "charrnn":
        uniform = keras.initializers.RandomUniform(-0.08, 0.08)
        arguments = {
            "kernel_initializer": uniform.clone(),
            "recurrent_initializer": uniform.clone(),
            "bias_initializer": TwoUniforms(0.08),
        }
        kind = kind_of(config.cell)
        if kind.sizes.biases == 2:  # as in Torch
            arguments["bias_initializer"] = uniform.clone()
        if hasattr(kind.layer, "unit_forget_bias"):
            arguments["bias_initializer"] = TwoUniforms(0.08, forget_gate=True)
            arguments["unit_forget_bias"] = False
        return arguments
    if config.initializer == "torchrnn":
        width = config.units
        if index == 0:
            width = config.embedding_size or config.vocabulary_size
        normal = keras.initializers.RandomNormal(
            stddev=(width + config.units) ** -0.5
        )
        return {
            "kernel_initializer": normal.clone(),
            "recurrent_initializer": normal.clone(),
        }
    if index == 0 and not config.embedding_size:
        return {"kernel_initializer": of_characters()}
    return {}


def of_characters() -> keras.Initializer:
    """Returns Keras' way for weights of which each character has its own row.

    A row is all that is read of its character, so it is as large as a whole sum
    of inputs. Glorot's rule would take it for one of many terms: with thousands
    of kinds of characters, what it leaves of a row is lost beside the biases,
    and the units saturate before they tell one character from another.
    docs/results.md has what other sizes give.
    """
    limit = _DEVIATION_OF_CHARACTERS * 3**0.5
    return keras.initializers.RandomUniform(-limit, limit)


def embedding_initializer(config: ModelConfig) -> keras.Initializer:
    """Returns the initializer of the character embedding."""
    if config.initializer == "charrnn":
        return keras.initializers.RandomUniform(-0.08, 0.08)
    if config.initializer == "torchrnn":
        return keras.initializers.RandomNormal(stddev=1.0)
    return of_characters()


def output_initializers(config: ModelConfig) -> dict:
    """Returns the initializer arguments of the output layer."""
    if config.initializer == "keras":
        return {}
    limit = 0.08
    if config.initializer == "torchrnn":
        limit = config.units**-0.5  # Torch's default of a linear layer
    uniform = keras.initializers.RandomUniform(-limit, limit)
    return {
        "kernel_initializer": uniform,
        "bias_initializer": uniform.clone(),
    }


def log_frequencies(counts: np.ndarray) -> np.ndarray:
    """Returns logits that say how frequent each character is.

    A network that begins with them need not learn first what a table of
    counts knows: with thousands of kinds of characters that takes an
    optimizer, whose steps are small and equal, hundreds of steps.

    Args:
        counts: How often each id occurs in the training text, [V]. Id 0, the
            unknown character, is never predicted.

    Returns:
        float32 [V], each the logarithm of its count and half a character,
        relative to their mean.
    """
    logits = np.log(counts + 0.5)
    logits -= np.mean(logits[1:])
    logits[0] = 0
    return logits.astype(np.float32)


@keras.saving.register_keras_serializable(package="kerasrnn")
class TwoUniforms(keras.initializers.Initializer):
    """The sum of two draws from [-limit, limit].

    Torch's cells have two biases where Keras' SimpleRNN and LSTM have one;
    their sum starts so.

    Args:
        limit: Largest magnitude of a draw.
        forget_gate: Whether the shape is that of an LSTM's bias, of whose
            forget gate the first draw is replaced by 1.
    """

    def __init__(self, limit: float, forget_gate: bool = False):
        self.limit = limit
        self.forget_gate = forget_gate
        # Their seeds follow from `set_random_seed` in every release of Keras.
        self._draws = [
            keras.initializers.RandomUniform(-limit, limit) for _ in range(2)
        ]

    def __call__(self, shape, dtype=None):
        first, second = (draw(shape, dtype) for draw in self._draws)
        if self.forget_gate:
            i, f, g, o = keras.ops.split(first, 4)
            f = keras.ops.ones_like(f)
            first = keras.ops.concatenate([i, f, g, o])
        return first + second

    def get_config(self) -> dict[str, Any]:
        return {"limit": self.limit, "forget_gate": self.forget_gate}
