"""How much memory does TensorFlow leave behind for an operation that fails?

    python -m benchmarks.reliability.failed_operations

One operation that always fails, called again and again: eagerly, as the local
server calls the functions of a model, and in a session, as TensorFlow Serving
does. Prints the growth of the anonymous resident memory per call. What a
server of this kind keeps for each call that is cancelled while it runs cannot
be less. Linux only.
"""

import ctypes
import gc
import multiprocessing

from absl import flags

from benchmarks.shared.memory import anonymous_bytes
from kerasrnn.command_line import program


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer(
        "calls",
        5000,
        "How many calls, after a tenth as many that warm up.",
        lower_bound=100,
        flag_values=flag_values,
    )


def main(argv) -> None:
    """Measures both ways."""
    del argv
    for way in _WAYS:
        size = bytes_per_failure(way, flags.FLAGS.calls)
        print(f"{way}: {size:.0f} bytes per failed operation", flush=True)


def bytes_per_failure(way: str = "eager", calls: int = 5000) -> float:
    """Returns by how much the memory of a process of its own grows."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure, [way, calls])


def _measure(way, calls):
    import tensorflow as tf

    call = _WAYS[way](tf)

    def fail(times):
        for _ in range(times):
            try:
                call()
            except tf.errors.InvalidArgumentError:
                continue
            raise RuntimeError("it did not fail")

    fail(calls // 10)
    before = _held()
    fail(calls)
    return (_held() - before) / calls


def _held():
    """Returns what this process cannot give back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return anonymous_bytes()


def _eager(tf):
    value = tf.constant(float("nan"))
    return lambda: tf.debugging.check_numerics(value, "")


def _session(tf):
    graph = tf.Graph()
    with graph.as_default():
        check = tf.debugging.check_numerics(tf.constant(float("nan")), "")
    session = tf.compat.v1.Session(graph=graph)
    return lambda: session.run(check)


_WAYS = {"eager": _eager, "session": _session}


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
