"""Long sequences: one stretch of time after the other.

Projected inputs and their derivatives are the largest arrays of a training
step, and only the loop needs them. So a long sequence is cut into stretches,
and only the arrays of the current stretch are in memory. docs/performance.md
has the measurements.
"""

import itertools

import tensorflow as tf

from kerasrnn.recurrence.graph_shortcuts import cut

# Shorter stretches, or more of them, save little more, and each is a loop in
# the graph.
_MIN_STEPS = 128
_MAX_STRETCHES = 8


def stretches(
    inputs: tf.Tensor, *others: tf.Tensor | None
) -> list[tuple[tf.Tensor | None, ...]]:
    """Cuts sequences in stretches, where there are many time steps.

    Args:
        inputs: Tensor [T, ...].
        *others: Tensors [T, ...], or None.

    Returns:
        `(inputs, *others)` of each stretch, in the order of time.
    """
    sizes = _sizes(inputs.shape[0])
    if len(sizes) == 1:
        return [(inputs, *others)]
    pieces = [
        [None] * len(sizes) if value is None else cut(value, sizes)
        for value in (inputs, *others)
    ]
    return list(zip(*pieces, strict=True))


def _sizes(num_steps):
    """Time steps of each stretch; one alone where T is not known."""
    count = min((num_steps or 0) // _MIN_STEPS, _MAX_STRETCHES)
    if count < 2:
        return [num_steps]
    edges = [num_steps * stretch // count for stretch in range(count + 1)]
    return [stop - start for start, stop in itertools.pairwise(edges)]
