"""A layer's masks and states, in the shapes that loops take.

Keras leaves much of it to broadcasting; a batch that is cut for the cores
needs every row. Shapes: B batch, T time steps, U units.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def mask_of_every_row(mask: Any, sequences: tf.Tensor) -> tf.Tensor | None:
    """Returns a mask as bool [B, T]; None if there is no mask.

    Args:
        mask: None, or a tensor [B, T] or [B, T, 1], where one row is that of
            the whole batch; or a list of which the first is such a mask:
            Keras gives one for each input.
        sequences: Tensor [B, T, features].

    Raises:
        ValueError: The mask has another number of rows or steps. Where these
            are not known before the graph runs, it fails with an
            `InvalidArgumentError` that says the same.
    """
    if isinstance(mask, list | tuple):
        mask = mask[0]
    if mask is None:
        return None
    mask = tf.cast(mask, tf.bool)
    if len(mask.shape) == 3:
        mask = tf.squeeze(mask, axis=-1)
    expected = sequences.shape[:2]
    if not _may_fit(mask.shape, expected):
        raise ValueError(
            f"{_MASK_RULE} Received a mask of shape {mask.shape} for sequences "
            f"of shape {sequences.shape}."
        )
    sizes = tf.shape(sequences)[:2]
    if not (mask.shape.is_fully_defined() and expected.is_fully_defined()):
        rows, steps = tf.unstack(tf.shape(mask))
        fits = (steps == sizes[1]) & ((rows == sizes[0]) | (rows == 1))
        report = [_MASK_RULE, "Received", [rows, steps], "instead of", sizes]
        with tf.control_dependencies([tf.debugging.Assert(fits, report)]):
            mask = tf.identity(mask)
    if mask.shape[0] == expected[0] is not None:
        return mask
    return tf.ensure_shape(tf.broadcast_to(mask, sizes), expected)


_MASK_RULE = (
    "A mask has as many rows and time steps as the sequences it is for, "
    "[batch, timesteps], or one row for the whole batch, [1, timesteps]."
)


def _may_fit(shape, expected):
    if shape.rank != 2:
        return False
    one_row = tf.TensorShape([1, expected[1]])
    return any(shape.is_compatible_with(whole) for whole in (expected, one_row))


def states_of_every_row(
    states: Sequence[tf.Tensor], sequences: tf.Tensor, units: int
) -> list[tf.Tensor]:
    """Returns states as tensors [B, U], where one [1, U] is that of every row.

    Args:
        states: Tensors that broadcast to [B, U].
        sequences: Tensor [B, T, features].
        units: U.
    """
    rows = sequences.shape[0]
    return [
        tf.convert_to_tensor(state)
        if len(state.shape) == 2 and state.shape[0] == rows is not None
        else tf.ensure_shape(
            tf.broadcast_to(state, [tf.shape(sequences)[0], units]),
            [rows, units],
        )
        for state in states
    ]
