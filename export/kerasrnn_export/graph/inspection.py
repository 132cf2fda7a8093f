"""What the network does while it reads, inside the graph.

It goes character by character, as generating does, since every step's states
are wanted. The shape of each step depends on the number of rows alone, and a
row past its end holds its state: so no row changes another.

Glossary of shapes: N rows, T characters of the longest row, K candidates, V
vocabulary size, L layers, U units of a layer, S states.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from kerasrnn.sampling.generate import StepModel


class Inspected(NamedTuple):
    """What `inspect` returns.

    Attributes:
        activations: float32 [N, T, L * U], the states asked for after each
            character; 0 past the row's end.
        top_ids: int32 [N, T, K], the likeliest next ids, the likeliest
            first; 0 past the row's end, and where the vocabulary has fewer.
        top_log_probs: float32 [N, T, K], their log p in nats; 0 there too.
        states: The states after all characters.
    """

    activations: tf.Tensor
    top_ids: tf.Tensor
    top_log_probs: tf.Tensor
    states: list


def inspect(
    model: StepModel,
    shown: slice,
    states: Sequence[tf.Tensor],
    ids: tf.Tensor,
    lengths: tf.Tensor,
    candidates: int,
) -> Inspected:
    """Reads each row's characters, and keeps what each step shows.

    Args:
        model: The model.
        shown: Which of the states are the layers' outputs.
        states: List of float32 [N, U].
        ids: int32 [N, T].
        lengths: int32 [N], each at most T.
        candidates: K.
    """
    rows, longest = tf.unstack(tf.shape(ids))
    columns = tf.transpose(ids)  # [T, N]

    def body(time, arrays, states):
        active = (time < lengths)[:, None]  # [N, 1]
        states = [
            tf.ensure_shape(tf.where(active, new, old), old.shape)
            for new, old in zip(
                model.read(columns[time], states), states, strict=True
            )
        ]
        activations = tf.concat(states[shown], axis=1)  # [N, L * U]
        top_ids, log_probs = top_candidates(model.logits(states), candidates)
        values = (
            tf.where(active, activations, 0.0),
            tf.where(active, top_ids, 0),
            tf.where(active, log_probs, 0.0),
        )
        arrays = [
            array.write(time, value)
            for array, value in zip(arrays, values, strict=True)
        ]
        return time + 1, arrays, states

    states = list(states)
    width = sum(state.shape[1] for state in states[shown])
    shapes = (
        (width, tf.float32),
        (candidates, tf.int32),
        (candidates, tf.float32),
    )
    # One entry more than characters: an array of none cannot be stacked.
    arrays = [
        tf.TensorArray(
            dtype, size=longest + 1, element_shape=[None, size]
        ).write(longest, tf.zeros([rows, size], dtype))
        for size, dtype in shapes
    ]
    _, arrays, states = tf.while_loop(
        lambda time, *_: time < longest, body, (0, arrays, states)
    )
    activations, top_ids, top_log_probs = [
        tf.transpose(array.stack()[:longest], [1, 0, 2]) for array in arrays
    ]
    return Inspected(activations, top_ids, top_log_probs, states)


def top_candidates(
    logits: tf.Tensor, count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the `count` likeliest ids and their log probabilities.

    Id 0, the unknown character, is none of them; where the vocabulary has
    fewer others, 0 fills both up. Of equals the first in the vocabulary
    comes first.

    Args:
        logits: float32 [N, V].
        count: K.

    Returns:
        `(int32 [N, K], float32 [N, K])`.
    """
    available = min(count, logits.shape[1] - 1)
    log_probs, ids = tf.math.top_k(tf.nn.log_softmax(logits), available)
    padding = [[0, 0], [0, count - available]]
    return tf.pad(ids, padding), tf.pad(log_probs, padding)
