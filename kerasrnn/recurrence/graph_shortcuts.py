"""Layers that hand over what is in parts, without joining and cutting it.

A layer joins what its parts put out, turned batch-major, and the layer above
turns and cuts it again. In a graph that shows: what an operation was made
from is taken in place of what it would be turned and cut into, so that part
by part the layers run on without waiting for each other.

Only what is known for certain to be the same is taken; all else, and
whatever is computed eagerly, goes the long way.
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
