"""Log probabilities of given texts, inside the graph.

Reading a text that is known needs no step by step: several characters at a
time go through products of matrices that one character at a time cannot
fill. Yet no row may change another, to the bit, and a product's rounding may
depend on its shape. So every product has the shape of N rows times a fixed
number of characters, and a row's way through them depends on its own length
alone: as many blocks of 64 characters as it fills, then of 8, then of 1.

Glossary of shapes: N rows, P characters of the longest row, T `size` of a
block, V vocabulary size, U units.
"""

from typing import NamedTuple

import tensorflow as tf

from kerasrnn.model import sequence_logits
from kerasrnn.step_model import step_model

_BLOCKS = (64, 8, 1)


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
    states: list


def score(config, weights, states, ids, lengths) -> Scored:
    """Scores each character given those before it, and reads them.

    Args:
        config: The `ModelConfig`.
        weights: Flat list of tensors, in the order of `CharRNN.weights`.
        states: List of float32 [N, U].
        ids: int32 [N, P].
        lengths: int32 [N], each at most P.
    """
    rows = tf.shape(ids)[0]
    carry = _Carry(
        step_model(config, weights).logits(states),
        tf.zeros([rows], tf.float64),
        list(states),
    )
    offsets = tf.zeros([rows], tf.int32)
    columns = 0
    position = tf.range(tf.shape(ids)[1])[None]  # [1, P]
    places = tf.zeros_like(ids)
    pieces = []
    for size in _BLOCKS:
        counts = (lengths - offsets) // size
        piece, carry = _read_blocks(
            config, weights, carry, ids, offsets, counts, size
        )
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
    return Scored(log_probs, carry.total, carry.states)


def _read_blocks(config, weights, carry, ids, offsets, counts, size):
    """Reads `counts` [N] blocks of `size` characters from `offsets` [N] on.

    Returns:
        `(log probabilities [N, size * longest count, at least size], carry)`.
    """
    rows = tf.shape(ids)[0]
    longest = tf.maximum(tf.reduce_max(counts), 0)  # of no rows: the minimum
    # A gather with batch dimensions must find its indices everywhere.
    padded = tf.pad(ids, [[0, 0], [0, 1]])
    last = tf.shape(ids)[1]

    def body(block, array, carry):
        active = block < counts  # [N]
        index = (offsets + block * size)[:, None] + tf.range(size)[None]
        tokens = tf.gather(padded, tf.minimum(index, last), batch_dims=1)
        logits, states = sequence_logits(config, weights, tokens, carry.states)
        before = tf.concat(
            [carry.logits[:, None], logits[:, :-1]], axis=1
        )  # [N, T, V]
        log_probs = -tf.nn.sparse_softmax_cross_entropy_with_logits(
            tokens, before
        )
        scored = active[:, None] & (tokens != 0)
        log_probs = tf.where(scored, log_probs, 0.0)  # [N, T]
        total = tf.reduce_sum(tf.cast(log_probs, tf.float64), axis=1)
        kept = active[:, None]
        carry = _Carry(
            tf.where(kept, logits[:, -1], carry.logits),
            carry.total + total,
            [
                tf.where(kept, new, old)
                for new, old in zip(states, carry.states, strict=True)
            ],
        )
        return block + 1, array.write(block, log_probs), carry

    # An array that nothing was written to cannot be stacked.
    array = tf.TensorArray(
        tf.float32, size=tf.maximum(longest, 1), element_shape=[None, size]
    ).write(0, tf.zeros([rows, size]))
    _, array, carry = tf.while_loop(
        lambda block, *_: block < longest, body, (0, array, carry)
    )
    by_row = tf.transpose(array.stack(), [1, 0, 2])
    return tf.reshape(by_row, [rows, tf.maximum(longest, 1) * size]), carry
