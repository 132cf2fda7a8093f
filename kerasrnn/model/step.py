"""CharRNN as functions of one step, in the form that samples fastest.

The product of one row and a matrix is bound by the memory that holds the
matrix; everything else is bound by the time that each operation takes to start.
So a step has few operations, and a large product is cut into pieces that the
cores share. docs/performance_sampling.md has the measurements.

Glossary of shapes: N rows, V vocabulary size, U units, G gates, K what a
product sums over.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kerasrnn.config import CELL_SIZES
from kerasrnn.config import ModelConfig
from kerasrnn.layers.kinds import kind_of
from kerasrnn.model.weights import ModelWeights
from kerasrnn.model.weights import output_bias
from kerasrnn.model.weights import states_of_layers
from kerasrnn.model.weights import unflatten
from kerasrnn.recurrence.step import LayerWeights
from kerasrnn.sampling.generate import StepModel

# A matrix up to this size stays in a core's cache, and its product with few
# rows is work for one core.
_PIECE_BYTES = 2**20
_MOST_PIECES = 16
# So that each piece starts at a multiple of 64 bytes and needs no copy.
_PIECE_MULTIPLE = 16
# From here on a product is bound by arithmetic, and best left whole.
_MANY_ROWS = 4


class LayerSteps:
    """A recurrent layer as functions of what it reads.

    Args:
        config: The `ModelConfig`.
        layer: The layer's `LayerWeights`.
        one_hot: Whether its inputs are ids, each of which picks a row of the
            kernel.
        few_rows: See `step_model`.
    """

    def __init__(
        self,
        config: ModelConfig,
        layer: LayerWeights,
        one_hot: bool,
        few_rows: bool,
    ):
        cut = _pieces if few_rows else lambda kernel: [kernel]
        self._advance = kind_of(config.cell).step.forward
        self._kernel = layer.kernel
        self._pieces = None if one_hot else cut(layer.kernel)
        self._recurrent_pieces = cut(layer.recurrent_kernel)
        self._bias = layer.bias
        self._recurrent_bias = layer.recurrent_bias

    def read(
        self, inputs: tf.Tensor, states: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        """Reads ids [N] or values [N, K]; returns `(h [N, U], states)`."""
        if self._pieces is None:
            projected = [tf.gather(self._kernel, inputs)]
        else:
            projected = _products(inputs, self._pieces)
        return self._step(projected, self._bias, states)

    def read_block(
        self,
        inputs: tf.Tensor,
        states: Sequence[tf.Tensor],
        start: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
        """Reads T characters: as a whole, where that is possible.

        Args:
            inputs: int32 ids [T, N], or values [T, N, K]; T is static.
            states: List of tensors [N, U].
            start: None, or bool [T, N]: what is read from the zero state.

        Returns:
            `(h of every step [T, N, U], states)`.
        """
        if self._pieces is None:
            projected = tf.gather(self._kernel, inputs)
        else:
            flat = tf.reshape(inputs, [-1, self._kernel.shape[0]])
            projected = tf.reshape(
                tf.matmul(flat, self._kernel),
                [inputs.shape[0], -1, self._kernel.shape[1]],
            )
        outputs = []
        for time, step in enumerate(tf.unstack(projected + self._bias)):
            if start is not None:
                states = zero_where(start[time], states)
            output, states = self._step([step], None, states)
            outputs.append(output)
        return tf.stack(outputs), states

    def _step(self, projected, bias, states):
        """One step of the cell, from the terms of the inputs' product."""
        recurrent = _products(states[0], self._recurrent_pieces)
        if self._recurrent_bias is None:
            sums = [_sum(projected + recurrent, bias)]
        else:
            sums = [
                _sum(projected, bias),
                _sum(recurrent, self._recurrent_bias),
            ]
        states, _ = self._advance(*sums, *states)
        return states[0], list(states)


def layer_steps(
    config: ModelConfig, weights: ModelWeights, few_rows: bool
) -> list[LayerSteps]:
    """Returns the recurrent layers; `weights` are `ModelWeights`."""
    return [
        LayerSteps(
            config,
            layer,
            one_hot=index == 0 and weights.embedding is None,
            few_rows=few_rows,
        )
        for index, layer in enumerate(weights.layers)
    ]


def step_model(
    config: ModelConfig,
    weights: Sequence[tf.Tensor],
    few_rows: bool = False,
) -> StepModel:
    """Returns the model as functions of one step.

    Args:
        config: The `ModelConfig`.
        weights: Flat list of tensors, in the order of `CharRNN.weights`.
        few_rows: Whether large products are cut into pieces, which is faster
            for few rows. Sums are then rounded in another order.
    """
    weights = unflatten(config, weights)
    layers = layer_steps(config, weights, few_rows)
    last_bias = output_bias(weights)

    def read(ids, states):
        if config.separator_id:
            states = zero_where(ids == config.separator_id, states)
        x = ids
        if weights.embedding is not None:
            x = tf.gather(weights.embedding, ids)
        next_states = []
        split = states_of_layers(states, config.num_layers)
        for layer, old in zip(layers, split, strict=True):
            x, new = layer.read(x, old)
            next_states.extend(new)
        return next_states

    def logits(states):
        top, *_ = states_of_layers(states, config.num_layers)[-1]
        return tf.matmul(top, weights.output_kernel) + last_bias

    return StepModel(read, logits)


def call_by_rows(
    config: ModelConfig, rows: tf.Tensor, function: Callable[[bool], Any]
) -> Any:
    """Calls a function in the way that is fastest for a number of rows.

    Args:
        config: The `ModelConfig`.
        rows: Number of rows, an int32 scalar.
        function: Called with `few_rows`, in a graph perhaps twice; returns a
            structure of tensors.
    """
    if 4 * CELL_SIZES[config.cell].gates * config.units**2 <= _PIECE_BYTES:
        return function(False)
    few = tf.less(rows, _MANY_ROWS)
    if tf.get_static_value(few) is not None:
        return function(bool(tf.get_static_value(few)))
    return tf.cond(few, lambda: function(True), lambda: function(False))


def zero_where(
    condition: tf.Tensor, states: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Sets the rows where `condition` [N] holds to the zero state."""
    return [tf.where(condition[:, None], 0.0, state) for state in states]


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


def _sum(products, bias=None):
    total = tf.add_n(products)
    return total if bias is None else total + bias
