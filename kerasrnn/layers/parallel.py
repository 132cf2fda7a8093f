"""Work in parts: each CPU core compiles and runs its own rows of the batch.

The products of a recurrent step are small. Two cores that share each of them
meet at every one, hundreds of times a batch; two cores that have half of the
rows each meet once. So the batch is cut in parts, one a core, and each part
runs as one function compiled with XLA, which also fuses what stands between
the products. docs/performance.md has the measurements.
"""

import itertools
import os

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

# A part with fewer rows makes too narrow a product.
_MIN_ROWS = 16


def compiles_here() -> bool:
    """Whether a compiled function pays in the graph that is being made.

    It does not in eager mode (there is no graph to run parts side by side),
    where a GPU does the work, and where the caller is compiled as a whole.
    """
    return not (
        tf.executing_eagerly()
        or tf.config.list_logical_devices("GPU")
        or tf.config.list_logical_devices("TPU")
        or control_flow_util.GraphOrParentsInXlaContext(
            tf.compat.v1.get_default_graph()
        )
    )


def compiled(function) -> tf.function:
    """Returns the function, compiled with XLA for each shape that it meets."""
    return tf.function(function, jit_compile=True, autograph=False)


def in_parts(function, batched, shared=()) -> list:
    """Calls a function once for each part of the batch.

    Args:
        function: Called as `function(part, *shared)`; compile it.
        batched: A structure of tensors with the batch as their first
            dimension, and of None.
        shared: What every call gets.

    Returns:
        The results, a list of one for each part, in the order of the rows.
    """
    flat = tf.nest.flatten(batched)
    batch = next(value for value in flat if value is not None)
    sizes = _part_sizes(batch)
    pieces = [
        [None] * len(sizes) if value is None else _cut(value, sizes)
        for value in flat
    ]
    return [
        function(tf.nest.pack_sequence_as(batched, list(part)), *shared)
        for part in zip(*pieces, strict=True)
    ]


def _cut(value, sizes):
    """Cuts a tensor in parts of `sizes` rows.

    What a layer below has put together of the same parts is not put together
    and cut again: part by part the layers then run on without a meeting.
    """
    if tf.is_symbolic_tensor(value) and value.op.type == "ConcatV2":
        *parts, axis = value.op.inputs
        rows = [part.shape[0] for part in parts]
        if rows == sizes and tf.get_static_value(axis) == 0:
            return parts
    return tf.split(value, sizes)


def _part_sizes(batch):
    num_rows = batch.shape[0]
    return _sizes(tf.shape(batch)[0] if num_rows is None else num_rows)


def _sizes(num_rows):
    parts = tf.config.threading.get_inter_op_parallelism_threads()
    parts = parts or len(os.sched_getaffinity(0))
    if isinstance(num_rows, int):
        parts = max(1, min(parts, num_rows // _MIN_ROWS))
    edges = [num_rows * part // parts for part in range(parts + 1)]
    return [stop - start for start, stop in itertools.pairwise(edges)]
