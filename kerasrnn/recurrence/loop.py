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
    num_steps = sequences[0].shape[0] or tf.shape(sequences[0])[0]
    if unroll or repeats(num_steps):
        readers = [tf.unstack(s) for s in sequences]
    else:
        # A TensorArray's read has a cheap gradient; a slice's is as large as
        # the whole sequence, at every step.
        readers = [
            tf.TensorArray(s.dtype, size=num_steps).unstack(s)
            for s in sequences
        ]

    def body(time, states):
        states = step([_at(reader, time) for reader in readers], states)
        outputs = [tf.cast(states[0], dtype)] if every_step else []
        return outputs, states

    dtypes = [dtype] if every_step else []
    outputs, states = over_time(body, num_steps, states, dtypes, unroll=unroll)
    return (stacked(outputs[0]) if every_step else None), states


def over_time(
    body: Callable,
    num_steps: Any,
    states: Sequence[tf.Tensor],
    dtypes: Iterable[tf.DType],
    *,
    unroll: bool = False,
    backwards: bool = False,
) -> tuple[list[Any], Sequence[tf.Tensor]]:
    """Runs a function for each time.

    Args:
        body: Called as `body(time, states)`, returns `(values, states)`.
        num_steps: How many times there are.
        states: What is passed on from step to step.
        dtypes: Those of the values.
        unroll: Repeat the step in the graph; needs a static number of steps.
        backwards: From the last time to the first.

    Returns:
        `(values, states)`: what each of the values was at each time, for
        `stacked` and `slices_at`, and the last states.
    """
    if unroll or repeats(num_steps):
        times = range(num_steps)
        rows = {}
        for time in reversed(times) if backwards else times:
            rows[time], states = body(time, states)
        values = zip(*(rows[time] for time in times), strict=True)
        return list(map(list, values)), states

    def step(count, arrays, states):
        time = num_steps - 1 - count if backwards else count
        values, states = body(time, states)
        arrays = [
            array.write(time, value)
            for array, value in zip(arrays, values, strict=True)
        ]
        return count + 1, arrays, list(states)

    # What is kept for a gradient may be read more than once.
    arrays = [
        tf.TensorArray(dtype, size=num_steps, clear_after_read=False)
        for dtype in dtypes
    ]
    _, arrays, states = tf.while_loop(
        lambda count, *_: count < num_steps,
        step,
        (0, arrays, list(states)),
        maximum_iterations=num_steps,
    )
    return arrays, states


def repeats(num_steps: Any) -> bool:
    """Whether each step is made for itself, and not once for a loop.

    Eager mode has no loop but Python's, and there a tensor to count with costs
    as much as one to compute with.
    """
    return tf.executing_eagerly() and isinstance(num_steps, int)


def by_time(values: Any, num_steps: Any) -> Any:
    """Returns what `slices_at` reads time by time.

    Args:
        values: A named tuple of tensors [T, ...], of what `over_time` returns,
            and of None.
        num_steps: T.
    """
    repeated = repeats(num_steps)

    def prepared(value):
        if repeated and tf.is_tensor(value):
            return tf.unstack(value)  # one operation for all times
        if isinstance(value, list) and not repeated:
            return tf.stack(value)  # of eager mode, read in a Jacobian's graph
        return value

    return type(values)(*map(prepared, values))


def slices_at(values: Any, time: Any) -> Any:
    """Returns one time of what `by_time` returns."""
    return type(values)(*(v if v is None else _at(v, time) for v in values))


def stacked(values: Any) -> tf.Tensor:
    """Returns one of the values of `over_time` as a tensor [T, ...]."""
    return tf.stack(values) if isinstance(values, list) else values.stack()


def _at(value, time):
    if isinstance(value, tf.TensorArray):
        return value.read(time)
    return value[time]
