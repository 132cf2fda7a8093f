"""What of a loop over time is compiled, and the rule that chooses it."""

import contextlib
import contextvars
import dataclasses
import functools
import os
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from kerasrnn.foundation.processor import multiplies_bfloat16_in_tiles

# A run with fewer multiplications in a loop is over before it is compiled.
_MIN_PRODUCTS_TO_COMPILE = 2**22
# What a batch of unknown size is taken for, where less work would not pay.
UNKNOWN_ROWS = 32
# From this many units on the products take most of the time, and oneDNN's are
# faster than XLA's, as long as no two of them compete for the cores.
_MIN_UNITS_FOR_STEPS = 256


@dataclasses.dataclass(frozen=True)
class Engine:
    """How a loop over time is run.

    Attributes:
        name: What messages and tests call it.
        compiles_steps: Whether XLA compiles what a step does element by
            element; the loop and the products are TensorFlow's.
        compiles_loops: Whether XLA compiles the loop over time as a whole.
        packs: Whether what a step keeps for its gradient is one array.
        adds_biases: Whether a step adds the bias of the inputs, and not
            their product.
        exchanges: Whether the products of a loop have the kernel as their
            first matrix, and so are transposed.
    """

    name: str
    compiles_steps: bool = False
    compiles_loops: bool = False
    packs: bool = False
    adds_biases: bool = False
    exchanges: bool = False

    @property
    def is_for_cpu(self) -> bool:
        """Whether it compiles parts, for the cores of a CPU."""
        return self.compiles_steps or self.compiles_loops

    def for_step(self, function: Callable, *static: Any) -> Callable:
        """Returns a step's function, with its first arguments bound."""
        return _bound(function, static, self.compiles_steps)

    def for_loop(self, function: Callable, *static: Any) -> Callable:
        """Returns a loop's function, with its first arguments bound."""
        return _bound(function, static, self.compiles_loops)

    def __str__(self):
        return self.name


# Nothing is compiled: portable, for every shape, and what to take inside a
# function that is compiled as a whole.
PLAIN = Engine("plain")
# The same inside a function that is compiled as a whole for a GPU, where one
# kernel writes what a step keeps when it is one array.
PACKED = Engine("packed", packs=True)
COMPILED_STEPS = Engine("steps", compiles_steps=True)
# The same for products that are cheap beside what is around them: adding a
# bias to 16-bit floats takes TensorFlow as long as their product, and each
# product packs its second matrix, which should be the smaller one.
TILED_STEPS = Engine(
    "tiles", compiles_steps=True, adds_biases=True, exchanges=True
)
COMPILED_LOOPS = Engine("loops", compiles_loops=True)
# On a GPU; the loop is that of `kerasrnn.recurrence.cudnn`.
CUDNN = Engine("cudnn")


def choose_engine(
    units: int, batch: int | None, steps: int | None, dtype: str
) -> Engine:
    """Returns the engine to train with, in the graph that is being made.

    Args:
        units: Width of the layer.
        batch: Rows, None where they are not known.
        steps: Time steps, None where they are not known.
        dtype: Of the products, by its name.
    """
    if compiles_here():
        return cpu_engine(units, batch, steps, dtype)
    return whole_engine() if _is_compiled_as_a_whole() else PLAIN


def whole_engine() -> Engine:
    """Returns the engine inside a function that is compiled as a whole."""
    return PACKED if device_type() == "GPU" else PLAIN


def cpu_engine(
    units: int, batch: int | None, steps: int | None, dtype: str
) -> Engine:
    """Returns the engine to train with on a CPU; see `choose_engine`."""
    if dtype == "bfloat16" and multiplies_bfloat16_in_tiles():
        return TILED_STEPS
    if _is_narrow(dtype):
        return COMPILED_STEPS
    # A loop is compiled anew for each length.
    if products_take_the_time(units, dtype):
        if steps is None or _has_one_thread_an_operation():
            return COMPILED_STEPS
    rows = batch or UNKNOWN_ROWS
    products = 0 if steps is None else steps * rows * units**2
    if products < _MIN_PRODUCTS_TO_COMPILE:
        return PLAIN
    return COMPILED_LOOPS


def products_take_the_time(units: int, dtype: str) -> bool:
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


_lowered_for: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "lowered_for", default=None
)


@contextlib.contextmanager
def lowering_for(device: str) -> Iterator[None]:
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
    if device := _lowered_for.get():
        return device
    for name in ("TPU", "GPU"):
        if tf.config.list_logical_devices(name):
            return name
    return "CPU"


def compiling(function: Callable) -> tf.function:
    """Returns the function, compiled with XLA for each shape that it meets."""
    return tf.function(function, jit_compile=True, autograph=False)


@functools.cache
def compiled(function: Callable) -> tf.function:
    """The same, once a process: what is given here is kept for good."""
    return compiling(function)


def _bound(function, static, compiles):
    if compiles:
        return _compiled_once(function, static)
    return functools.partial(function, *static)


@functools.cache
def _compiled_once(function, static):
    return compiling(functools.partial(function, *static))
