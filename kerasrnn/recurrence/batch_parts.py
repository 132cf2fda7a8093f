"""Work in parts: each CPU core runs its own rows of the batch.

The products of a recurrent step are small. Two cores that share each of them
have to synchronize at every one, hundreds of times per batch; two cores that
have half of the rows each synchronize once. So the batch is cut into parts, one
per core, and each part is computed independently of the others.
docs/performance.md has the measurements.
"""

import itertools
import os
from typing import Any

import tensorflow as tf

from kerasrnn.recurrence.engine import compiles_here
from kerasrnn.recurrence.graph_shortcuts import cut

# A part with fewer rows makes too narrow a product.
_MIN_ROWS = 16


def parts(batched: Any) -> list[Any]:
    """Cuts a batch in parts, one for each core.

    There is one part alone where `compiles_here` is False.

    Args:
        batched: A structure of tensors with the batch as their first
            dimension, and of None.

    Returns:
        Such a structure for each part, in the order of the rows.
    """
    flat = tf.nest.flatten(batched)
    batch = next(value for value in flat if value is not None)
    sizes = _part_sizes(batch)
    pieces = [
        [None] * len(sizes) if value is None else cut(value, sizes)
        for value in flat
    ]
    return [
        tf.nest.pack_sequence_as(batched, list(part))
        for part in zip(*pieces, strict=True)
    ]


def _part_sizes(batch):
    num_rows = batch.shape[0]
    return _sizes(tf.shape(batch)[0] if num_rows is None else num_rows)


def _sizes(num_rows):
    if not compiles_here():
        return [num_rows]
    parts = tf.config.threading.get_inter_op_parallelism_threads()
    parts = parts or len(os.sched_getaffinity(0))
    if isinstance(num_rows, int):
        parts = max(1, min(parts, num_rows // _MIN_ROWS))
    edges = [num_rows * part // parts for part in range(parts + 1)]
    return [stop - start for start, stop in itertools.pairwise(edges)]
