"""The loss that is trained on and reported: cross-entropy in nats.

Shapes: B batch, T sequence length, V vocabulary size.
"""

from typing import NamedTuple

import tensorflow as tf


class SequenceLoss(NamedTuple):
    """The loss of a batch of sequences.

    Attributes:
        nats: Sum of -log p(target) over the scored characters, float32 scalar.
        characters: Their number, float32 scalar.
    """

    nats: tf.Tensor
    characters: tf.Tensor


def sequence_loss(logits: tf.Tensor, targets: tf.Tensor) -> SequenceLoss:
    """Returns the cross-entropy of a batch of sequences.

    The unknown character (id 0) is read but never predicted, so a target of
    id 0 is not scored.

    Args:
        logits: float32 [B, T, V].
        targets: int32 [B, T].
    """
    scored = targets != 0
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    nats = tf.where(scored, nats, tf.zeros_like(nats))  # [B, T]
    return SequenceLoss(
        tf.reduce_sum(nats), tf.reduce_sum(tf.cast(scored, tf.float32))
    )
