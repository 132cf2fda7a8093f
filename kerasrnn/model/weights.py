"""The flat list of a CharRNN's weights, and what each of them is.

Glossary of shapes: V vocabulary size, U units, E embedding size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from kerasrnn.config import CELL_SIZES
from kerasrnn.config import ModelConfig
from kerasrnn.layers.kinds import kind_of
from kerasrnn.recurrence.step import LayerWeights
from kerasrnn.recurrence.step import split_bias

# The logit of id 0, the unknown character, which is never predicted.
UNKNOWN_LOGIT = -1e9


class ModelWeights(NamedTuple):
    """The weights of a model.

    Attributes:
        embedding: None, or a tensor [V, E].
        layers: List of `LayerWeights`.
        output_kernel: Tensor [U, V].
        output_bias: Tensor [V].
    """

    embedding: tf.Tensor | None
    layers: list[LayerWeights]
    output_kernel: tf.Tensor
    output_bias: tf.Tensor


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns the weights' shapes by name, in the order of `CharRNN.weights`.

    The names are the weights' paths without the model's own name.
    """
    size, units = config.vocabulary_size, config.units
    cell = CELL_SIZES[config.cell]
    gates, biases = cell.gates, cell.biases
    columns = gates * units
    bias: tuple[int, ...] = (columns,) if biases == 1 else (biases, columns)
    width = config.embedding_size or size
    shapes: dict[str, tuple[int, ...]] = {}
    if config.embedding_size:
        shapes["embedding/embeddings"] = (size, width)
    for index in range(config.num_layers):
        cell = f"{config.cell}_{index}/{kind_of(config.cell).layer.cell_name}"
        shapes[f"{cell}/kernel"] = (width, columns)
        shapes[f"{cell}/recurrent_kernel"] = (units, columns)
        shapes[f"{cell}/bias"] = bias
        width = units
    return {**shapes, "logits/kernel": (units, size), "logits/bias": (size,)}


def unflatten(
    config: ModelConfig, weights: Sequence[tf.Tensor]
) -> ModelWeights:
    """Returns a flat list of weights, in the order of `CharRNN.weights`."""
    weights = [tf.convert_to_tensor(weight) for weight in weights]
    embedding = weights.pop(0) if config.embedding_size else None
    *layers, output_kernel, output_bias = weights
    layers = zip(layers[::3], layers[1::3], layers[2::3], strict=True)
    return ModelWeights(
        embedding,
        [
            LayerWeights(kernel, recurrent_kernel, *split_bias(bias))
            for kernel, recurrent_kernel, bias in layers
        ],
        output_kernel,
        output_bias,
    )


def state_sizes(config: ModelConfig) -> list[int]:
    """Returns the widths of the states, layer by layer."""
    return [config.units] * (config.num_layers * CELL_SIZES[config.cell].states)


def states_of_layers(
    states: Sequence[tf.Tensor], num_layers: int
) -> list[list]:
    """Returns a flat list of states as a list for each layer."""
    count = len(states) // num_layers
    return [
        list(states[start : start + count])
        for start in range(0, len(states), count)
    ]


def output_bias(weights: ModelWeights) -> tf.Tensor:
    """Returns what is added to the logits: it rules out id 0."""
    unknown = tf.range(weights.output_bias.shape[0]) == 0
    return tf.where(
        unknown, UNKNOWN_LOGIT, tf.cast(weights.output_bias, tf.float32)
    )
