"""The plain loop over time, and what all loops read and write.

TensorFlow differentiates the plain loop by itself. It is for steps without a
hand-written gradient, and for derivatives beyond the first. Shapes: T time
steps, B batch.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def differentiable_loop(
    step: Callable,
    sequences: Sequence[tf.Tensor],
    states: Sequence[tf.Tensor],
    dtype: tf.DType,
    *,
    unroll: bool = False,
    every_step: bool = True,
) -> tuple[tf.Tensor | None, Sequence[tf.Tensor]]:
    """Runs `step` over time.

    Args:
        step: Called as `step(slices, states)`, returns the new states.
        sequences: List of tensors [T, B, ...].
        states: List of tensors [B, ...]; the first is a step's output.
        dtype: That of the outputs.
        unroll: Repeat the step in the graph; needs a static T.
        every_step: Whether the outputs of all steps are wanted. To keep
            them costs as much as half a small step.

    Returns:
        `(outputs [T, B, ...] or None, states)`.
    """
    if unroll:
        outputs = []
        for slices in zip(*(tf.unstack(s) for s in sequences), strict=True):
            states = step(list(slices), states)
            outputs.append(tf.cast(states[0], dtype))
        return (tf.stack(outputs) if every_step else None), states

    num_steps = sequences[0].shape[0] or tf.shape(sequences[0])[0]
    # A TensorArray's read has a cheap gradient; a slice's is as large as
    # the whole sequence, at every step.
    readers = [
        tf.TensorArray(s.dtype, size=num_steps).unstack(s) for s in sequences
    ]

    def body(time, outputs, states):
        states = step([r.read(time) for r in readers], states)
        outputs = [
            array.write(time, tf.cast(states[0], dtype)) for array in outputs
        ]
        return time + 1, outputs, list(states)

    outputs = [tf.TensorArray(dtype, size=num_steps)] if every_step else []
    _, outputs, states = tf.while_loop(
        lambda time, *_: time < num_steps,
        body,
        (0, outputs, list(states)),
        maximum_iterations=most_iterations(num_steps),
    )
    return (outputs[0].stack() if every_step else None), states


def new_arrays(dtypes: Iterable[tf.DType], size: Any) -> list[tf.TensorArray]:
    """Returns arrays to write to once, and to read from more than once."""
    return [
        tf.TensorArray(dtype, size=size, clear_after_read=False)
        for dtype in dtypes
    ]


def most_iterations(num_steps: Any) -> Any:
    """Returns a while loop's `maximum_iterations`: a bound for XLA.

    In eager mode Python counts, and the bound would be one more operation a
    step.
    """
    return None if tf.executing_eagerly() else num_steps


def by_time(values: Any) -> Any:
    """Returns what has values at each time, to be read time by time.

    Args:
        values: A tensor [T, ...], or a named tuple of tensors, arrays and
            None, for `slices_at`.
    """
    if values is None:
        return None
    if isinstance(values, tuple):
        return type(values)(*map(by_time, values))
    if tf.executing_eagerly():
        # One operation cuts a tensor, and not one for each time.
        return tf.unstack(values) if tf.is_tensor(values) else values
    if isinstance(values, tf.TensorArray):
        # The graph of a Jacobian cannot read arrays of eager mode.
        if not tf.is_symbolic_tensor(values.flow):
            return values.stack()
    return values


def slices_at(values: Any, time: Any) -> Any:
    """Returns one time of what `by_time` returns."""

    def slice_of(value):
        if isinstance(value, tf.TensorArray):
            return value.read(time)
        return value if value is None else value[time]

    return type(values)(*map(slice_of, values))


def stacked(arrays: Iterable[tf.TensorArray]) -> list[tf.Tensor]:
    """Returns arrays as tensors [T, ...]."""
    return [array.stack() for array in arrays]
