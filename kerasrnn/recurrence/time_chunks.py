"""Long sequences: one stretch of time after the other.

Projected inputs and their derivatives are the largest arrays of a training
step, and only the loop needs them. So a long sequence is cut in stretches,
and what is in memory is that of the stretch at hand. docs/performance.md has
the measurements.
"""

import itertools

import tensorflow as tf

from kerasrnn.recurrence.batch_parts import cut

# Shorter stretches, or more of them, save little more, and each is a loop in
# the graph.
_MIN_STEPS = 128
_MAX_STRETCHES = 8


def in_stretches(run, sequences, states):
    """Runs a loop over time, in stretches where there are many time steps.

    Args:
        run: Called as `run(sequences, states)`, returns
            `(outputs [T, ...], states)`.
        sequences: List of tensors [T, ...] and of None.
        states: List of tensors [B, U].

    Returns:
        `(outputs [T, ...], states)`.
    """
    sizes = _sizes(next(v for v in sequences if v is not None).shape[0])
    if len(sizes) == 1:
        return run(sequences, states)
    pieces = [
        [None] * len(sizes) if value is None else cut(value, sizes)
        for value in sequences
    ]
    outputs = []
    for stretch in zip(*pieces, strict=True):
        output, states = run(list(stretch), states)
        outputs.append(output)
    return tf.concat(outputs, axis=0), states


def _sizes(num_steps):
    """Time steps of each stretch; one alone where T is not known."""
    count = min((num_steps or 0) // _MIN_STEPS, _MAX_STRETCHES)
    if count < 2:
        return [num_steps]
    edges = [num_steps * stretch // count for stretch in range(count + 1)]
    return [stop - start for start, stop in itertools.pairwise(edges)]
