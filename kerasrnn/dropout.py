"""Dropout that is a function of seed, step, layer and stream."""

import tensorflow as tf


def keyed_dropout(values, rate, key, layer):
    """Drops elements of [T, B, U] by a function of key, layer and stream.

    Philox (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
    2011) has a 64-bit key and a 128-bit counter: seed and layer are the key,
    the step is the counter's high half, the stream's place its low half. So
    a replica draws for its own streams what one process draws for them.

    Args:
        values: Tensor [T, B, U].
        rate: Share of the elements to drop; the others are scaled up.
        key: int tensor [3], `(seed, step, first stream)`.
        layer: Number of the layer.

    Returns:
        Tensor [T, B, U].
    """
    steps, _, units = values.shape
    steps = tf.shape(values)[0] if steps is None else steps
    batch = tf.shape(values)[1]
    key = tf.cast(key, tf.int64)
    # Four 32-bit numbers a counter: a stream starts at a counter of its own.
    counters = (steps * units + 3) // 4
    numbers = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[batch, counters * 4],
        key=tf.bitcast(key[:1] * 1024 + layer, tf.uint64),
        counter=tf.bitcast(
            tf.stack([key[2] * tf.cast(counters, tf.int64), key[1]]), tf.uint64
        ),
        alg=1,  # Philox
        dtype=tf.uint32,
    )[:, : steps * units]
    numbers = tf.reshape(numbers, [batch, steps, units])
    numbers = tf.transpose(numbers, [1, 0, 2])  # [T, B, U]
    kept = numbers >= tf.constant(int(rate * 2**32), tf.uint32)
    scale = tf.cast(1 / (1 - rate), values.dtype)
    return tf.where(kept, values * scale, tf.zeros_like(values))
