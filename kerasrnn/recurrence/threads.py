"""TensorFlow's threads, chosen for the layers that are trained.

A part of the batch for each core (`kerasrnn.recurrence.batch_parts`) already
keeps all cores busy. TensorFlow would still split each of its own products
across all cores, and the parts would wait for each other. So an operation gets
one thread, and as many operations as there are cores run side by side.
docs/performance.md says what that gains. It gains where the products are
oneDNN's; Eigen's are faster with all threads.
"""

import os

import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port

from kerasrnn.recurrence.engine import products_take_the_time

_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def configure_threads(units: int, dtype: str = "float32") -> bool:
    """Sets TensorFlow's threads, before it starts, where that pays.

    Nothing changes if there is a GPU, if the environment says how many threads
    there are (TF_NUM_INTRAOP_THREADS), if TensorFlow multiplies by Eigen (on
    processors with AVX2 alone, unless TF_ENABLE_ONEDNN_OPTS=1), or if it has
    started in this process: call it before anything else in TensorFlow.

    Args:
        units: Width of the recurrent layers.
        dtype: Of their products: the policy's compute dtype.

    Returns:
        Whether the threads were set.
    """
    if any(os.environ.get(name) for name in _VARIABLES):
        return False
    if tf.config.list_physical_devices("GPU"):
        return False
    if not products_take_the_time(units, dtype):
        return False
    if not _pywrap_util_port.IsMklEnabled():  # oneDNN's old name
        return False
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(
            len(os.sched_getaffinity(0))
        )
    except RuntimeError:
        return False
    return True
