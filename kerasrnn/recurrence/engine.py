"""How a loop over time is run: by rule, so that nobody has to know a flag."""

import contextlib
import contextvars
import enum
import functools
import os

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

# A training with fewer multiplications in a loop is over before it is
# compiled.
_MIN_PRODUCTS_TO_COMPILE = 2**22
# From this many units on the products take the time, and oneDNN's are faster
# than XLA's, as long as no two of them compete for the cores.
_MIN_UNITS_FOR_STEPS = 256


class Engine(enum.Enum):
    """What of a loop is compiled with XLA.

    Attributes:
        PLAIN: Nothing: portable, for every shape, and what to take inside a
            function that is compiled as a whole.
        PACKED: Nothing; inside a function that is compiled as a whole for a
            GPU, where what a step keeps for its gradient is written by one
            kernel when it is one array.
        STEPS: What a step does element by element; the loop and the products
            are TensorFlow's.
        LOOPS: The loop over time as a whole.
        CUDNN: Nothing; on a GPU, `kerasrnn.recurrence.cudnn` is the loop.
    """

    PLAIN = "plain"
    PACKED = "packed"
    STEPS = "steps"
    LOOPS = "loops"
    CUDNN = "cudnn"

    @property
    def is_for_cpu(self) -> bool:
        """Whether it compiles parts, for the cores of a CPU."""
        return self in (Engine.STEPS, Engine.LOOPS)


def choose_engine(units, batch, steps, dtype) -> Engine:
    """Returns the engine to train with, in the graph that is being made.

    Args:
        units: Width of the layer.
        batch: Rows, None where they are not known.
        steps: Time steps, None where they are not known.
        dtype: Of the products, by its name.
    """
    if compiles_here():
        return cpu_engine(units, batch, steps, dtype)
    return whole_engine() if _is_compiled_as_a_whole() else Engine.PLAIN


def whole_engine() -> Engine:
    """Returns the engine inside a function that is compiled as a whole."""
    return Engine.PACKED if device_type() == "GPU" else Engine.PLAIN


def cpu_engine(units, batch, steps, dtype) -> Engine:
    """Returns the engine to train with on a CPU; see `choose_engine`."""
    if _is_narrow(dtype):
        return Engine.STEPS
    # A loop is compiled anew for each length.
    if products_take_the_time(units, dtype):
        if steps is None or _has_one_thread_an_operation():
            return Engine.STEPS
    products = 0 if steps is None else steps * (batch or 32) * units**2
    if products < _MIN_PRODUCTS_TO_COMPILE:
        return Engine.PLAIN
    return Engine.LOOPS


def products_take_the_time(units, dtype) -> bool:
    """Whether a training step is as fast as TensorFlow's products."""
    return units >= _MIN_UNITS_FOR_STEPS or _is_narrow(dtype)


def _is_narrow(dtype):
    # XLA multiplies 16-bit floats as slowly as 32-bit ones on a CPU.
    return dtype in ("bfloat16", "float16")


def _has_one_thread_an_operation():
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return (threads or os.environ.get("TF_NUM_INTRAOP_THREADS")) in (1, "1")


def compiles_here() -> bool:
    """Whether a compiled function pays in the graph that is being made.

    It does not in eager mode (there is no graph to run parts side by side),
    where a GPU does the work, and where the caller is compiled as a whole.
    """
    return not (
        tf.executing_eagerly()
        or device_type() != "CPU"
        or _is_compiled_as_a_whole()
    )


def _is_compiled_as_a_whole():
    return control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


_lowered_for = contextvars.ContextVar("lowered_for", default=None)


@contextlib.contextmanager
def lowering_for(device: str):
    """Has graphs made as where the device is, for a compiler elsewhere.

    Args:
        device: "CPU", "GPU" or "TPU".
    """
    token = _lowered_for.set(device)
    try:
        yield
    finally:
        _lowered_for.reset(token)


def device_type() -> str:
    """Returns what training runs on here: "CPU", "GPU" or "TPU"."""
    if _lowered_for.get():
        return _lowered_for.get()
    for name in ("TPU", "GPU"):
        if tf.config.list_logical_devices(name):
            return name
    return "CPU"


def compiling(function) -> tf.function:
    """Returns the function, compiled with XLA for each shape that it meets."""
    return tf.function(function, jit_compile=True, autograph=False)


@functools.cache
def compiled(function) -> tf.function:
    """The same, once a process: what is given here is kept for good."""
    return compiling(function)
