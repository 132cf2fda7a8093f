"""Log probabilities of given texts, inside the graph.

A layer need not wait until the layers above have read a character of a text
that is known: while it reads a block of characters, the layer above reads the
block before it, on another core. And within a block, whatever does not depend
on an earlier step is one product.

Yet no row may change another, to the bit, and a product's rounding may depend
on its shape. So every product has the shape of N rows times a fixed number of
characters, and a row's way through them depends on its own length alone: as
many blocks of 16 characters as it fills, then of 4, then of 1.

Glossary of shapes: N rows, P characters of the longest row, T `size` of a
block, V vocabulary size, U units.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.model.step import call_by_rows
from kerasrnn.model.step import layer_steps
from kerasrnn.model.weights import output_bias
from kerasrnn.model.weights import states_of_layers
from kerasrnn.model.weights import unflatten
from kerasrnn.sampling.generate import select_rows

_BLOCKS = (16, 4, 1)


class Scored(NamedTuple):
    """What `score` returns.

    Attributes:
        log_probs: float32 [N, P], log p of each character in nats; 0 for
            unknown ones and past the row's end.
        total: float64 [N], their sum.
        states: The states after all characters.
    """

    log_probs: tf.Tensor
    total: tf.Tensor
    states: list


class _Carry(NamedTuple):
    logits: tf.Tensor  # [N, V], of the character to come
    total: tf.Tensor  # [N]
    states: list  # of each layer, a list of [N, U]


def score(
    config: ModelConfig,
    weights: Sequence[tf.Tensor],
    states: Sequence[tf.Tensor],
    ids: tf.Tensor,
    lengths: tf.Tensor,
) -> Scored:
    """Scores each character given those before it, and reads them.

    Args:
        config: The `ModelConfig`.
        weights: Flat list of tensors, in the order of `CharRNN.weights`.
        states: List of float32 [N, U].
        ids: int32 [N, P].
        lengths: int32 [N], each at most P.
    """

    def call(few_rows):
        reader = _BlockReader(config, weights, few_rows)
        return _score(reader, states, ids, lengths)

    return call_by_rows(config, tf.shape(ids)[0], call)


def _score(reader, states, ids, lengths):
    rows = tf.shape(ids)[0]
    states = states_of_layers(states, reader.num_layers)
    carry = _Carry(
        reader.logits(states[-1][0]), tf.zeros([rows], tf.float64), states
    )
    offsets = tf.zeros([rows], tf.int32)
    columns = 0
    position = tf.range(tf.shape(ids)[1])[None]  # [1, P]
    places = tf.zeros_like(ids)
    pieces = []
    for size in _BLOCKS:
        counts = (lengths - offsets) // size
        piece, carry = _read_blocks(reader, carry, ids, offsets, counts, size)
        # Where in the pieces, side by side, a character's value stands.
        places = tf.where(
            position >= offsets[:, None],
            columns + position - offsets[:, None],
            places,
        )
        columns += tf.shape(piece)[1]
        offsets += counts * size
        pieces.append(piece)
    inside = position < lengths[:, None]
    log_probs = tf.gather(
        tf.concat(pieces, axis=1), tf.where(inside, places, 0), batch_dims=1
    )
    log_probs = tf.where(inside, log_probs, 0.0)
    return Scored(log_probs, carry.total, sum(carry.states, []))


class _BlockReader:
    """A model whose layers read blocks of T characters, one by one."""

    def __init__(self, config, weights, few_rows):
        self._separator_id = config.separator_id
        self._weights = unflatten(config, weights)
        self._layers = layer_steps(config, self._weights, few_rows)
        self._output_bias = output_bias(self._weights)
        self.num_layers = config.num_layers
        self.units = config.units

    def read(self, index, tokens, below, states):
        """Has a layer read a block.

        Args:
            index: Number of the layer.
            tokens: int32 [N, T].
            below: float32 [T, N, U], what the layer below says to the block;
                of no meaning for the first layer.
            states: The layer's, a list of [N, U].

        Returns:
            `(h of every step [T, N, U], states)`.
        """
        ids = tf.transpose(tokens)  # [T, N]
        start = ids == self._separator_id if self._separator_id else None
        if index == 0:
            below = ids
            if self._weights.embedding is not None:
                below = tf.gather(self._weights.embedding, ids)
        return self._layers[index].read_block(below, states, start)

    def logits(self, values):
        """Returns logits [..., V] of what the last layer says [..., U]."""
        kernel = self._weights.output_kernel
        if values.shape.rank == 2:
            return tf.matmul(values, kernel) + self._output_bias
        product = tf.matmul(tf.reshape(values, [-1, self.units]), kernel)
        shape = [values.shape[0], -1, kernel.shape[1]]
        return tf.reshape(product, shape) + self._output_bias


def _read_blocks(reader, carry, ids, offsets, counts, size):
    """Reads `counts` [N] blocks of `size` characters from `offsets` [N] on.

    Returns:
        `(log probabilities [N, size * longest count, at least size], carry)`.
    """
    rows = tf.shape(ids)[0]
    longest = tf.maximum(tf.reduce_max(counts), 0)  # of no rows: the minimum
    # Of iteration i the first layer reads block i, the last one i - delay.
    delay = reader.num_layers - 1
    # A gather with batch dimensions must find its indices everywhere.
    padded = tf.pad(ids, [[0, 0], [0, 1]])
    last = tf.shape(ids)[1]
    nothing = tf.zeros([size, rows, reader.units])

    def tokens_of(block):
        index = (offsets + block * size)[:, None] + tf.range(size)[None]
        index = tf.clip_by_value(index, 0, last)
        return tf.gather(padded, index, batch_dims=1)  # [N, T]

    def body(iteration, array, carry, outputs):
        states, said = [], []
        for index, old in enumerate(carry.states):
            block = iteration - index
            tokens = tokens_of(block)
            active = (block >= 0) & (block < counts)  # [N]
            below = outputs[index - 1] if index else None
            values, new = tf.cond(
                (block >= 0) & (block < longest),
                functools.partial(reader.read, index, tokens, below, old),
                functools.partial(tuple, [nothing, old]),
            )
            states.append(select_rows(active, new, old))
            said.append(values)
        logits = reader.logits(said.pop())  # [T, N, V]
        before = tf.concat([carry.logits[None], logits[:-1]], axis=0)
        log_probs = -tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.transpose(tokens), before
        )
        scored = active[:, None] & (tokens != 0)
        log_probs = tf.where(scored, tf.transpose(log_probs), 0.0)  # [N, T]
        total = tf.reduce_sum(tf.cast(log_probs, tf.float64), axis=1)
        (newest,) = select_rows(active, [logits[-1]], [carry.logits])
        carry = _Carry(newest, carry.total + total, states)
        return iteration + 1, array.write(iteration, log_probs), carry, said

    # An array that nothing was written to cannot be stacked.
    first = tf.zeros([rows, size])
    written = tf.maximum(longest, 1) + delay
    array = tf.TensorArray(
        tf.float32, size=written, element_shape=[None, size]
    ).write(written - 1, first)
    iterations = tf.where(longest > 0, longest + delay, 0)
    _, array, carry, _ = tf.while_loop(
        lambda iteration, *_: iteration < iterations,
        body,
        (0, array, carry, [nothing] * delay),
    )
    by_row = tf.transpose(array.stack()[delay:], [1, 0, 2])
    return tf.reshape(by_row, [rows, (written - delay) * size]), carry
