"""Filters of a draw: which characters it may take.

Shapes: N rows, V vocabulary size.
"""

import tensorflow as tf

from kerasrnn.sampling.gumbel import COLDEST
from kerasrnn.sampling.gumbel import HOTTEST


def kept_characters(
    logits: tf.Tensor,
    temperature: tf.Tensor,
    top_k: tf.Tensor,
    top_p: tf.Tensor,
) -> tf.Tensor:
    """Returns which characters the filters keep, bool [N, V].

    Args:
        logits: float32 [N, V].
        temperature: float32 [N].
        top_k: int32 [N], characters to keep; 0 keeps all.
        top_p: float32 [N], share of the weight to keep; 1 keeps all.
    """
    heat = tf.clip_by_value(temperature, COLDEST, HOTTEST)
    shifted = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
    weights = tf.exp(shifted * (1 / heat)[:, None])
    size = tf.shape(weights)[1]
    ordered = tf.sort(weights, axis=-1, direction="DESCENDING")  # [N, V]
    kept = tf.where((top_k > 0) & (top_k < size), top_k, size)
    by_rank = tf.gather(ordered, kept - 1, batch_dims=1)  # [N]
    # The fewest likeliest characters whose share reaches top_p.
    cumulative = tf.cumsum(ordered, axis=-1)
    needed = top_p[:, None] * cumulative[:, -1:]
    before = tf.reduce_sum(tf.cast(cumulative < needed, tf.int32), axis=-1)
    before = tf.minimum(before, size - 1)
    by_share = tf.gather(ordered, before, batch_dims=1)
    by_share = tf.where(top_p < 1, by_share, 0.0)
    return weights >= tf.maximum(by_rank, by_share)[:, None]
