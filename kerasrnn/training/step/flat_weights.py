"""All weights of a model as one flat vector [P], and back."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.model.initialization import log_frequencies
from kerasrnn.model.weights import weight_shapes


class Layout(NamedTuple):
    """Where each weight stands in the flat vector.

    Attributes:
        names: The weights' names, in the order of `CharRNN.weights`.
        shapes: Their shapes.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> list[int]:
        """Number of elements of each weight."""
        return [int(np.prod(shape)) for shape in self.shapes]

    @property
    def size(self) -> int:
        """Number of elements of all weights, P."""
        return sum(self.sizes)

    def split(self, flat: tf.Tensor) -> list[tf.Tensor]:
        """Returns the weights as tensors, from a tensor [P]."""
        pieces = tf.split(flat, self.sizes)
        return [
            tf.reshape(piece, shape)
            for piece, shape in zip(pieces, self.shapes, strict=True)
        ]

    def unpack(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the weights by name, from an array [P]."""
        pieces = np.split(flat, np.cumsum(self.sizes)[:-1])
        return {
            name: piece.reshape(shape)
            for name, piece, shape in zip(
                self.names, pieces, self.shapes, strict=True
            )
        }

    def pack(self, weights: dict[str, np.ndarray]) -> np.ndarray:
        """Returns weights by name as one array float32 [P].

        Raises:
            UserError: A weight is missing, left over or of another shape.
        """
        expected = dict(zip(self.names, self.shapes, strict=True))
        received = {name: array.shape for name, array in weights.items()}
        if received != expected:
            raise UserError(
                f"The weights do not fit the model: expected {expected}, "
                f"received {received}."
            )
        return np.concatenate(
            [weights[name].ravel() for name in self.names]
        ).astype(np.float32)

    def kernels(self) -> np.ndarray:
        """Returns float32 [P], 1 where an element belongs to a kernel."""
        return np.concatenate(
            [
                np.full(size, float(name.endswith("kernel")), np.float32)
                for name, size in zip(self.names, self.sizes, strict=True)
            ]
        )


def layout(config: ModelConfig) -> Layout:
    """Returns the layout of a model's weights."""
    shapes = weight_shapes(config)
    return Layout(tuple(shapes), tuple(shapes.values()))


def make_model(config: ModelConfig) -> CharRNN:
    """Returns a model with its weights made."""
    model = CharRNN(config)
    model.build_weights()
    return model


def initial_weights(
    config: ModelConfig, seed: int, counts: np.ndarray | None = None
) -> tuple[Layout, np.ndarray]:
    """Returns the layout and the first weights [P].

    Args:
        config: The model's.
        seed: What they are a function of, besides `counts`.
        counts: How often each id occurs in the training text, [V], where the
            output layer is to begin with that. The initializers "charrnn" and
            "torchrnn" begin as those programs do instead.
    """
    keras.utils.set_random_seed(seed)
    model = make_model(config)
    if counts is not None and config.initializer == "keras":
        model.weights[-1].assign(log_frequencies(counts))
    arrays = [variable.value.numpy() for variable in model.weights]
    return layout(config), np.concatenate([a.ravel() for a in arrays])


def set_weights(model: CharRNN, weights: dict[str, np.ndarray]) -> None:
    """Gives a model weights by name.

    Raises:
        UserError: They do not fit.
    """
    places = layout(model.config)
    model.set_weights(list(places.unpack(places.pack(weights)).values()))
