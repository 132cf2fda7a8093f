"""Layers that pass parts on, without joining and cutting them again.

A layer joins the outputs of its parts and makes them batch-major; the layer
above makes them time-major and cuts them again. In a graph both can be skipped:
the parts are the inputs of the operation that joined them. So each part runs
through the layers without waiting for the others.

The shortcut is taken only where the result is certainly the same; everything
else, and whatever is computed eagerly, is joined and cut.
"""

from collections.abc import Sequence

import tensorflow as tf


def cut(value: tf.Tensor, sizes: Sequence) -> list[tf.Tensor]:
    """Cuts a tensor into parts of `sizes` along its first dimension.

    Args:
        value: Any tensor.
        sizes: Integers, or scalar tensors, that add up to that dimension.
    """
    if tf.is_symbolic_tensor(value) and value.op.type == "ConcatV2":
        *parts, axis = value.op.inputs
        rows = [part.shape[0] for part in parts]
        known = all(isinstance(size, int) for size in sizes)
        if known and rows == sizes and tf.get_static_value(axis) == 0:
            return parts
    return tf.split(value, sizes)


def time_major(value: tf.Tensor) -> tf.Tensor:
    """Turns [B, T, ...] into [T, B, ...], or back."""
    order = [1, 0, *range(2, len(value.shape))]
    if tf.is_symbolic_tensor(value) and value.op.type == "Transpose":
        original, permutation = value.op.inputs
        permutation = tf.get_static_value(permutation)
        if permutation is not None and list(permutation) == order:
            return original
    return tf.transpose(value, order)
