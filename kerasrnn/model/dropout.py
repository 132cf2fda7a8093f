"""Dropout that is a function of seed, step, layer and stream."""

import itertools
from collections.abc import Sequence

import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.model.weights import weight_shapes
from kerasrnn.recurrence.engine import compiled

_LEVELS = 2**16  # what a random number is compared with
_PER_COUNTER = 8  # such numbers in the 128 bits that Philox makes of a counter


def dropout_rate(
    rate: float, warmup_steps: int, key: tf.Tensor
) -> float | tf.Tensor:
    """Returns the rate of a step, which rises linearly to `rate`.

    A network that has not read its text often has nothing to forget yet, and
    learns faster without dropout (Morerio et al., "Curriculum Dropout", 2017).

    Args:
        rate: Share of the elements to drop after the warm-up.
        warmup_steps: Steps over which it rises from 0; 0 means none.
        key: int tensor [3], `(seed, step, first stream)`.
    """
    if not warmup_steps:
        return rate
    return rate * tf.minimum(tf.cast(key[1], tf.float32) / warmup_steps, 1.0)


def keyed_dropout(
    values: tf.Tensor,
    rate: float | tf.Tensor,
    key: tf.Tensor,
    layer: int,
    compiles: bool = False,
) -> tf.Tensor:
    """Drops elements of [T, B, U] by a function of key, layer and stream.

    Philox (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
    2011) has a 64-bit key and a 128-bit counter: seed and layer are the key,
    the step is the counter's high half, the stream's place its low half. So
    a replica draws for its own streams what one process draws for them.

    Args:
        values: Tensor [T, B, U].
        rate: Share of the elements to drop, which is rounded to one of 2^16
            levels; the others are scaled up.
        key: int tensor [3], `(seed, step, first stream)`.
        layer: Number of the layer.
        compiles: Whether to compile what is done with the random numbers,
            for static shapes; it gives the same.

    Returns:
        Tensor [T, B, U].
    """
    drop = compiled(_drop) if compiles else _drop
    return drop(values, _random_bits(values, key, layer), rate)


def recurrent_kernel_factors(
    config: ModelConfig, key: tf.Tensor, compiles: bool = False
) -> list[tf.Tensor | None]:
    """Returns what the weights are multiplied by to drop some of a step.

    This is DropConnect (Wan et al., 2013) on the recurrent kernels, as in the
    weight-dropped LSTM (Merity et al., "Regularizing and Optimizing LSTM
    Language Models", 2017): in each step other elements are dropped, the same
    for all streams and time steps. Which they are is a function of seed, step
    and layer, so all parts of a batch and all replicas drop the same ones. The
    rows of a kernel draw as the streams -U to -1 would, which do not exist.

    Args:
        config: The model's; `recurrent_kernel_dropout` is the rate after
            `dropout_warmup_steps`.
        key: See `keyed_dropout`; its first stream does not matter.
        compiles: See `keyed_dropout`.

    Returns:
        For each of `CharRNN.weights` None, or a tensor of its shape: 0 where
        an element is dropped, elsewhere what makes up for those that are.
    """
    factors: list[tf.Tensor | None] = []
    layers = itertools.count()
    rate = dropout_rate(
        config.recurrent_kernel_dropout, config.dropout_warmup_steps, key
    )
    for name, shape in weight_shapes(config).items():
        factor = None
        if config.recurrent_kernel_dropout and name.endswith(
            "/recurrent_kernel"
        ):
            first = tf.constant([-shape[0]], tf.int64)
            factor = keyed_dropout(
                tf.ones([1, *shape]),
                rate,
                tf.concat([tf.cast(key, tf.int64)[:2], first], axis=0),
                next(layers),
                compiles,
            )[0]
        factors.append(factor)
    return factors


def multiplied(
    values: Sequence[tf.Tensor], factors: Sequence[tf.Tensor | None]
) -> list[tf.Tensor]:
    """Returns values, times the factors that are not None."""
    return [
        value if factor is None else value * factor
        for value, factor in zip(values, factors, strict=True)
    ]


def _random_bits(values, key, layer):
    """Random uint32 [B * T * ceil(U / 8) * 4]."""
    steps, batch, units = _sizes(values)
    key = tf.cast(key, tf.int64)
    counters = steps * -(-units // _PER_COUNTER)  # of a stream
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[batch * counters * 4],
        key=tf.bitcast(key[:1] * 1024 + layer, tf.uint64),
        counter=tf.bitcast(
            tf.stack([key[2] * tf.cast(counters, tf.int64), key[1]]), tf.uint64
        ),
        alg=1,  # Philox
        dtype=tf.uint32,
    )


def _drop(values, bits, rate):
    """Drops elements of [T, B, U] by random bits.

    Of a random word the high half is a unit's number, and the low half that
    of the unit half a layer away.
    """
    steps, batch, units = _sizes(values)
    level = tf.minimum(tf.cast(tf.round(rate * _LEVELS), tf.int32), _LEVELS - 1)
    scale = _LEVELS / tf.cast(_LEVELS - level, tf.float32)
    level = tf.cast(level, tf.uint32)
    bits = tf.reshape(bits, [batch, steps, -1])
    bits = tf.transpose(bits, [1, 0, 2])  # [T, B, U / 2]
    low = tf.bitwise.bitwise_and(bits, tf.constant(_LEVELS - 1, tf.uint32))
    kept = tf.concat(
        [
            bits >= level * _LEVELS,
            low >= level,
        ],
        axis=-1,
    )[:, :, :units]
    scaled = values * tf.cast(scale, values.dtype)
    return tf.where(kept, scaled, tf.zeros_like(values))


def _sizes(values):
    steps, batch, units = values.shape
    shape = tf.shape(values)
    return steps or shape[0], batch or shape[1], units
