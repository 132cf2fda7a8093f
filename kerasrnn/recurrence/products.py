"""The products of a loop over time, with its recurrent kernel.

Shapes, time-major: T time steps, B batch, U units, G gates (4 for an LSTM).
"""

from collections.abc import Callable

import tensorflow as tf

from kerasrnn.recurrence.engine import Engine


def multiplication(
    engine: Engine, kernel: tf.Tensor, backward: bool = False
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a loop's product by the recurrent kernel.

    It takes values [B, D] and returns `values @ kernel`, for the backward loop
    `values @ kernel^T`, to be read by `turned`.

    Args:
        engine: How the loop is run.
        kernel: Tensor [U, G * U].
        backward: Whether it is for the backward loop.
    """
    # Transposed once, before the loop, where it must be.
    kernel = tf.transpose(kernel) if backward != engine.exchanges else kernel
    if engine.exchanges:
        return lambda values: tf.matmul(kernel, values, transpose_b=True)
    return lambda values: tf.matmul(values, kernel)


def turned(engine: Engine, values: tf.Tensor) -> tf.Tensor:
    """Returns a product as [B, D], or [B, D] as a product is."""
    return tf.transpose(values) if engine.exchanges else values


def kernel_gradient(
    h: tf.Tensor,
    outputs: tf.Tensor,
    d_product: tf.Tensor,
    reset: tf.Tensor | None,
    dtype: tf.DType,
) -> tf.Tensor:
    """Sum over all steps of `previous h^T @ d_product`, [U, G * U].

    The first step's h is apart: all others are `outputs` as they are.

    Args:
        h: The first step's [B, U].
        outputs: h of every step [T, B, U].
        d_product: Derivative by h's product [T, B, G * U].
        reset: None, or bool [T, B, 1]; where True h was zero before the step.
        dtype: That of the product.
    """
    first, others = tf.cast(h, dtype), tf.cast(outputs[:-1], dtype)
    if reset is not None:
        (first,) = zero_where(reset[0], first)
        (others,) = zero_where(reset[1:], others)
    d_product = tf.cast(d_product, dtype)
    return tf.matmul(first, d_product[0], transpose_a=True) + tf.matmul(
        flat(others), flat(d_product[1:]), transpose_a=True
    )


def zero_where(condition: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
    """Returns the values with zero where the condition holds."""
    return [tf.where(condition, tf.zeros_like(v), v) for v in values]


def flat(values: tf.Tensor) -> tf.Tensor:
    """Returns [T, B, D] as [T * B, D]."""
    return tf.reshape(values, [-1, values.shape[-1]])
