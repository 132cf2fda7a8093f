"""The loss that is trained on and reported: cross-entropy in nats.

Shapes: B batch, T sequence length, V vocabulary size.
"""

import tensorflow as tf


def sequence_loss(logits, targets):
    """Returns the cross-entropy of a batch of sequences, and what it covers.

    The unknown character (id 0) is read but never predicted, so a target of
    id 0 is not scored.

    Args:
        logits: float32 [B, T, V].
        targets: int32 [B, T].

    Returns:
        `(nats, characters)`, float32 scalars: the sum of -log p(target) over
        the scored characters, and their number.
    """
    scored = targets != 0
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    nats = tf.where(scored, nats, tf.zeros_like(nats))  # [B, T]
    return tf.reduce_sum(nats), tf.reduce_sum(tf.cast(scored, tf.float32))
