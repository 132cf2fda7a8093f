"""Long sequences: one stretch of time after the other.

Projected inputs and their derivatives are the largest arrays of a training
step, and only the loop needs them. So a long sequence is cut into stretches,
and only the arrays of the current stretch are in memory. docs/performance.md
has the measurements.
"""

import itertools

import tensorflow as tf

from kerasrnn.recurrence.engine import UNKNOWN_ROWS
from kerasrnn.recurrence.graph_shortcuts import cut

# Shorter stretches, or more of them, save little more, and each is a loop in
# the graph. Hundreds and powers of two have equal ones of 125 or more.
_MIN_STEPS = 125
_MAX_STRETCHES = 8
# Projected inputs of fewer numbers, 16 MB in float32, are small beside what XLA
# needs to compile a loop; and each stretch is traced, which takes time.
MIN_NUMBERS = 2**22


def stretches(
    inputs: tf.Tensor, *others: tf.Tensor | None, width: int
) -> list[tuple[tf.Tensor | None, ...]]:
    """Cuts sequences in stretches, where that saves memory.

    Args:
        inputs: Tensor [T, B, ...].
        *others: Tensors [T, ...], or None.
        width: Numbers that an input is projected to.

    Returns:
        `(inputs, *others)` of each stretch, in the order of time.
    """
    num_steps, rows = inputs.shape[:2]
    numbers = (num_steps or 0) * (rows or UNKNOWN_ROWS) * width
    sizes = _sizes(num_steps, numbers)
    if len(sizes) == 1:
        return [(inputs, *others)]
    pieces = [
        [None] * len(sizes) if value is None else cut(value, sizes)
        for value in (inputs, *others)
    ]
    return list(zip(*pieces, strict=True))


def _sizes(num_steps, numbers):
    """Time steps of each stretch; one alone where T is not known."""
    most = (num_steps or 0) // _MIN_STEPS
    most = min(most, numbers // MIN_NUMBERS, _MAX_STRETCHES)
    if most < 2:
        return [num_steps]
    # A loop is compiled for each length, so fewer of one length are better.
    counts = range(most, most // 2, -1)
    count = next((c for c in counts if num_steps % c == 0), most)
    edges = [num_steps * stretch // count for stretch in range(count + 1)]
    return [stop - start for start, stop in itertools.pairwise(edges)]
