"""CharRNN as functions of one step, the way sampling is fastest.

One row times a matrix is bound by the memory that holds the matrix, and what
is not a product by the time that each operation takes to start. So a step has
few operations, and a large product is cut into pieces that the cores share.
docs/performance.md has the measurements.

Glossary of shapes: N rows, V vocabulary size, U units, G gates, K what a
product sums over.
"""

import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.layers.gru import gru_gates
from kerasrnn.layers.lstm import lstm_gates
from kerasrnn.model_weights import input_bias
from kerasrnn.model_weights import output_bias
from kerasrnn.model_weights import state_sizes
from kerasrnn.model_weights import unflatten
from kerasrnn.sampling import StepModel

# A matrix up to this size stays in a core's cache, and its product with few
# rows is work for one core.
_PIECE_BYTES = 2**20
_MOST_PIECES = 16
# So that each piece starts at a multiple of 64 bytes and needs no copy.
_PIECE_MULTIPLE = 16
# From here on a product is bound by arithmetic, and best left whole.
_MANY_ROWS = 4


def step_model(
    config: ModelConfig, weights, few_rows: bool = False
) -> StepModel:
    """Returns the model as functions of one step.

    Args:
        config: The `ModelConfig`.
        weights: Flat list of tensors, in the order of `CharRNN.weights`.
        few_rows: Whether large products are cut into pieces, which is faster
            for few rows. Sums are then rounded in another order.
    """
    weights = unflatten(config, weights)
    per_layer = len(state_sizes(config)) // config.num_layers

    cut = _pieces if few_rows else lambda kernel: [kernel]
    # None stands for a one-hot input, which picks a row of the kernel.
    kernels = [
        None if index == 0 and weights.embedding is None else cut(layer.kernel)
        for index, layer in enumerate(weights.layers)
    ]
    recurrent_kernels = [
        cut(layer.recurrent_kernel) for layer in weights.layers
    ]
    biases = [input_bias(layer) for layer in weights.layers]
    recurrent_biases = [
        layer.bias[1] if config.cell == "gru" else None
        for layer in weights.layers
    ]
    last_bias = output_bias(weights)

    def read(ids, states):
        if config.separator_id:
            first = (ids == config.separator_id)[:, None]
            states = [tf.where(first, 0.0, state) for state in states]
        x = None
        if weights.embedding is not None:
            x = tf.gather(weights.embedding, ids)
        next_states = []
        for index in range(config.num_layers):
            if kernels[index] is None:
                inputs = [tf.gather(weights.layers[0].kernel, ids)]
            else:
                inputs = _products(x, kernels[index])
            old = states[index * per_layer : (index + 1) * per_layer]
            recurrent = _products(old[0], recurrent_kernels[index])
            bias = biases[index]
            if config.cell == "gru":
                x, new = gru_gates(
                    _sum(inputs) + bias,
                    _sum(recurrent) + recurrent_biases[index],
                    old[0],
                )
            elif config.cell == "lstm":
                x, new = lstm_gates(_sum(inputs + recurrent) + bias, old[1])
            else:
                x = tf.tanh(_sum(inputs + recurrent) + bias)
                new = [x]
            next_states.extend(new)
        return next_states

    def logits(states):
        top = states[-per_layer]
        return tf.matmul(top, weights.output_kernel) + last_bias

    return StepModel(read, logits)


def call_with_step_model(config: ModelConfig, weights, rows, function):
    """Calls a function with the step model that is fastest for so many rows.

    Args:
        config: The `ModelConfig`.
        weights: Flat list of tensors, in the order of `CharRNN.weights`.
        rows: Number of rows, an int32 scalar.
        function: Called with the `StepModel`, in a graph perhaps twice;
            returns a structure of tensors.
    """

    def call(few_rows):
        return function(step_model(config, weights, few_rows))

    gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[config.cell]
    if 4 * gates * config.units**2 <= _PIECE_BYTES:
        return call(False)
    few = tf.less(rows, _MANY_ROWS)
    if tf.get_static_value(few) is not None:
        return call(bool(tf.get_static_value(few)))
    return tf.cond(few, lambda: call(True), lambda: call(False))


def _pieces(kernel):
    """Cuts a kernel [K, G * U] along K into at most `_MOST_PIECES`."""
    size, width = kernel.shape
    rows = max(_PIECE_BYTES // (4 * width), -(-size // _MOST_PIECES))
    rows = max(rows // _PIECE_MULTIPLE, 1) * _PIECE_MULTIPLE
    sizes = [min(rows, size - start) for start in range(0, size, rows)]
    return [kernel] if len(sizes) == 1 else tf.split(kernel, sizes)


def _products(values, pieces):
    """Returns what adds up to `values @ kernel`, a list of [N, G * U]."""
    if len(pieces) == 1:
        return [tf.matmul(values, pieces[0])]
    sizes = [piece.shape[0] for piece in pieces]
    return [
        tf.matmul(part, piece)
        for part, piece in zip(
            tf.split(values, sizes, axis=1), pieces, strict=True
        )
    ]


def _sum(products):
    return tf.add_n(products)
