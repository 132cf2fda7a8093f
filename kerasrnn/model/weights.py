"""The flat list of a CharRNN's weights, and what each of them is.

Glossary of shapes: V vocabulary size, U units, G gates, E embedding size.
"""

from typing import NamedTuple

import tensorflow as tf

from kerasrnn.config import ModelConfig

# The logit of id 0, the unknown character, which is never predicted.
UNKNOWN_LOGIT = -1e9


class LayerWeights(NamedTuple):
    """The weights of a recurrent layer.

    Attributes:
        kernel: Tensor [V, E or U; G * U].
        recurrent_kernel: Tensor [U, G * U].
        bias: Tensor [G * U], of a GRU [2, 3 * U].
    """

    kernel: tf.Tensor
    recurrent_kernel: tf.Tensor
    bias: tf.Tensor


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


def unflatten(config: ModelConfig, weights) -> ModelWeights:
    """Returns a flat list of weights, in the order of `CharRNN.weights`."""
    weights = [tf.convert_to_tensor(weight) for weight in weights]
    embedding = weights.pop(0) if config.embedding_size else None
    *layers, output_kernel, output_bias = weights
    return ModelWeights(
        embedding,
        [LayerWeights(*layers[i : i + 3]) for i in range(0, len(layers), 3)],
        output_kernel,
        output_bias,
    )


def state_sizes(config: ModelConfig) -> list[int]:
    """Returns the widths of the states, layer by layer."""
    states_of_a_layer = 2 if config.cell == "lstm" else 1
    return [config.units] * (config.num_layers * states_of_a_layer)


def states_of_layers(states, num_layers: int) -> list[list]:
    """Returns a flat list of states as a list for each layer."""
    count = len(states) // num_layers
    return [
        list(states[start : start + count])
        for start in range(0, len(states), count)
    ]


def input_bias(layer: LayerWeights) -> tf.Tensor:
    """Returns what is added to the projected inputs [G * U]."""
    return layer.bias if layer.bias.shape.rank == 1 else layer.bias[0]


def output_bias(weights: ModelWeights) -> tf.Tensor:
    """Returns what is added to the logits: it rules out id 0."""
    unknown = tf.range(weights.output_bias.shape[0]) == 0
    return tf.where(
        unknown, UNKNOWN_LOGIT, tf.cast(weights.output_bias, tf.float32)
    )
