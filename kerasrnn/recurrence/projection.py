"""Products with all time steps' inputs at once.

Shapes: T time steps, B batch, D features, N outputs.
"""

import tensorflow as tf


def project(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor | None,
    dtype: tf.DType | str,
) -> tf.Tensor:
    """Returns `inputs @ kernel + bias`, as one product of matrices.

    The gradient of a batch of products by one kernel would be a kernel for
    each row before it is summed.

    Args:
        inputs: Tensor [T, B, D], or ids [T, B] that stand for one-hot
            vectors: each picks a row of the kernel, and nothing is
            multiplied.
        kernel: Tensor [D, N].
        bias: None or a tensor [N].
        dtype: That of the product.

    Returns:
        Tensor [T, B, N].
    """
    if inputs.dtype.is_integer:
        table = kernel if bias is None else kernel + bias
        return lookup(tf.cast(table, dtype), inputs)
    steps, batch = tf.unstack(tf.shape(inputs)[:2])
    # Not the kernel's D: other inputs would be reshaped to fit it.
    features = inputs.shape[-1] or tf.shape(inputs)[-1]
    flat = tf.reshape(inputs, [-1, features])  # [T * B, D]
    flat = tf.matmul(tf.cast(flat, dtype), tf.cast(kernel, dtype))
    if bias is not None:
        flat = _add_bias(flat, tf.cast(bias, dtype))
    projected = tf.reshape(flat, [steps, batch, kernel.shape[-1]])
    # What is known of T and B stays known: without it a sum with states
    # [1, N] would have any number of rows, and a loop refuses such states.
    projected.set_shape([*inputs.shape[:2], kernel.shape[-1]])
    return projected


def column_sums(values: tf.Tensor) -> tf.Tensor:
    """Sums a matrix [M, N] over its rows, to [N].

    TensorFlow adds 16-bit floats in 16 bits, where after some hundred of them
    each further one is lost; a product is accumulated in 32 bits.
    """
    if values.dtype.size >= 4:
        return tf.reduce_sum(values, axis=0)
    ones = tf.ones([1, tf.shape(values)[0]], values.dtype)
    return tf.matmul(ones, values)[0]


def add_bias(values: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """Returns `values + bias`, with a gradient that is summed in 32 bits.

    Args:
        values: Tensor [..., N].
        bias: Tensor or variable [N].
    """
    # A variable itself would be one that the function below hides.
    bias = tf.cast(tf.convert_to_tensor(bias), values.dtype)
    if values.dtype.size >= 4:
        return values + bias
    return _add_bias(values, bias)


@tf.custom_gradient
def _add_bias(values, bias):
    def gradient(upstream):
        flat = tf.reshape(upstream, [-1, bias.shape[0]])
        return upstream, column_sums(flat)

    # TensorFlow fuses this addition with the product, and no other.
    return tf.nn.bias_add(values, bias), gradient


@tf.custom_gradient
def lookup(table: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Rows of `table` [V, D] at `ids` [...], with a dense gradient.

    Returns:
        Tensor [..., D].
    """

    def gradient(upstream):
        wide = tf.float64 if table.dtype == tf.float64 else tf.float32
        summed = tf.math.unsorted_segment_sum(
            tf.cast(tf.reshape(upstream, [-1, table.shape[1]]), wide),
            tf.reshape(ids, [-1]),
            table.shape[0],
        )
        return tf.cast(summed, table.dtype), None

    return tf.gather(table, ids), gradient
