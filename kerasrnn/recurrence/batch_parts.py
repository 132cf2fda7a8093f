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
# Without compiled steps there is more work of other kinds in a part.
MIN_ROWS_TO_PREDICT = 32
# What a batch of unknown size is taken for: most are smaller, and for them
# each further part makes the products of all parts narrower.
_UNKNOWN_ROWS = 128


def parts(batched: Any, min_rows: int = _MIN_ROWS) -> list[Any]:
    """Cuts a batch in parts, one for each core.

    There is one part alone where `compiles_here` is False.

    Args:
        batched: A structure of tensors with the batch as their first
            dimension, and of None.
        min_rows: Of a part, unless it is the only one.

    Returns:
        Such a structure for each part, in the order of the rows.
    """
    flat = tf.nest.flatten(batched)
    batch = next(value for value in flat if value is not None)
    sizes = _part_sizes(batch, min_rows)
    if len(sizes) == 1:
        return [batched]
    pieces = [
        [None] * len(sizes) if value is None else cut(value, sizes)
        for value in flat
    ]
    return [
        tf.nest.pack_sequence_as(batched, list(part))
        for part in zip(*pieces, strict=True)
    ]


def number_of_parts(
    num_rows: int | None, num_cores: int, min_rows: int = _MIN_ROWS
) -> int:
    """Returns in how many parts a batch is cut.

    A part takes as long as its products, and those hardly get shorter below
    `min_rows` rows; so a batch of few rows leaves cores to other work.

    Args:
        num_rows: Rows of the batch; None if they are not known.
        num_cores: Operations that run side by side.
        min_rows: Of a part, unless it is the only one.
    """
    if num_rows is None:
        num_rows = _UNKNOWN_ROWS
    return max(1, min(num_cores, num_rows // min_rows))


def _part_sizes(batch, min_rows):
    num_rows = batch.shape[0]
    parts = 1
    if compiles_here():
        parts = number_of_parts(num_rows, _num_cores(), min_rows)
    if num_rows is None:
        num_rows = tf.shape(batch)[0]
    edges = [num_rows * part // parts for part in range(parts + 1)]
    return [stop - start for start, stop in itertools.pairwise(edges)]


def _num_cores():
    threads = tf.config.threading.get_inter_op_parallelism_threads()
    return threads or len(os.sched_getaffinity(0))
