"""The loops over time that know no cell.

`loop` is for functions that bring their own gradient, `differentiable_loop`
is differentiated by TensorFlow. Shapes: T time steps, B batch.
"""

import tensorflow as tf


def loop(step, sequences, states, *, dtypes, stacked=None, reverse=False):
    """Runs `step` over the first dimension of `sequences`.

    Args:
        step: Called as `step(slices, states)` with a dict of slices, returns
            `(outputs, states)`, two lists of tensors.
        sequences: Dict of tensors [T, ...] and of arrays of T tensors, one
            slice of each a step.
        states: List of tensors; shapes and dtypes are those `step` returns.
        dtypes: Those of the outputs.
        stacked: Which outputs to stack, a list of bool; by default all.
        reverse: Run from T - 1 to 0. Outputs stay at their own time.

    Returns:
        `(outputs, states)`: each output as a tensor [T, ...] if stacked,
        else as an array of T tensors; and the final states.
    """
    first = next(v for v in sequences.values() if tf.is_tensor(v))
    num_steps = first.shape[0] or tf.shape(first)[0]

    def body(counter, arrays, states):
        time = num_steps - 1 - counter if reverse else counter
        slices = {
            name: value[time] if tf.is_tensor(value) else value.read(time)
            for name, value in sequences.items()
        }
        outputs, states = step(slices, states)
        arrays = [
            array.write(time, output)
            for array, output in zip(arrays, outputs, strict=True)
        ]
        return counter + 1, arrays, list(states)

    arrays = [
        tf.TensorArray(dtype, size=num_steps, clear_after_read=False)
        for dtype in dtypes
    ]
    _, arrays, states = tf.while_loop(
        lambda counter, *_: counter < num_steps,
        body,
        (0, arrays, list(states)),
        maximum_iterations=num_steps,
    )
    stacked = stacked or [True] * len(arrays)
    return [
        array.stack() if stack else array
        for array, stack in zip(arrays, stacked, strict=True)
    ], states


def differentiable_loop(
    step, sequences, states, dtype, *, unroll=False, every_step=True
):
    """Runs `step` over time for TensorFlow's own differentiation.

    Args:
        step: Called as `step(slices, states)`, returns the new states.
        sequences: List of tensors [T, B, ...].
        states: List of tensors [B, ...]; the first is what a step puts out.
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
        maximum_iterations=num_steps,
    )
    return (outputs[0].stack() if every_step else None), states
