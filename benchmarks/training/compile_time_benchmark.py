"""Times the first training step: tracing, compiling and running it once.

    python -m benchmarks.training.compile_time_benchmark

The step is the whole one, optimizer included, of 3 layers with 512 units:
CharRNN as kerasrnn-train runs it, and kerasrnn.layers in a keras.Sequential;
each by default and compiled with XLA as a whole. Every row is a process of
its own. Printed are the first step and the fastest of three later ones.
"""

import subprocess
import sys
import time

from absl import app
from absl import flags

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    for name, values, text in (
        ("cell", ["lstm", "gru", "simple_rnn"], "Kind of cell."),
        ("dtype", list(_POLICIES), "bfloat16 is the mixed_bfloat16 policy."),
    ):
        flags.DEFINE_enum(
            name, values[0], values, text, flag_values=flag_values
        )
    for name, value, text in (
        ("layers", 3, "Number of recurrent layers."),
        ("units", 512, "Width of each layer."),
        ("batch", 64, "Streams side by side."),
        ("length", 100, "Time steps of a stream."),
    ):
        flags.DEFINE_integer(name, value, text, 1, flag_values=flag_values)
    flags.DEFINE_string(
        "worker", "", "Internal: be this row.", flag_values=flag_values
    )


def main(argv):
    """Prints a row for each program and way to compile it."""
    del argv
    options = flags.FLAGS
    if options.worker:
        _work(options)
        return
    print(
        f"{options.layers}x{options.units} {options.cell} batch "
        f"{options.batch} length {options.length} {options.dtype}"
    )
    for model in ("charrnn", "sequential"):
        for way in ("default", "xla"):
            result = subprocess.run(
                [sys.executable, *sys.argv, f"--worker={model} {way}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                check=True,
            )
            print(f"  {model:10s} {way:8s} {result.stdout}", end="", flush=True)


def _work(options):
    import tensorflow as tf

    from kerasrnn.config import Config
    from kerasrnn.config import ModelConfig
    from kerasrnn.config import TrainingConfig
    from kerasrnn.training.step import lowering

    config = Config(
        model=ModelConfig(
            vocabulary_size=65,
            cell=options.cell,
            units=options.units,
            num_layers=options.layers,
            dtype_policy=_POLICIES[options.dtype],
        ),
        training=TrainingConfig(
            batch_size=options.batch, sequence_length=options.length
        ),
    )
    model, way = options.worker.split()
    make = {
        "charrnn": lowering.charrnn_step,
        "sequential": lowering.sequential_step,
    }
    function, arguments = make[model](config)
    step = tf.function(
        function, jit_compile=way == "xla" or None, autograph=False
    )

    def seconds():
        begin = time.perf_counter()
        tf.nest.flatten(step(*arguments))[-1].numpy()
        return time.perf_counter() - begin

    first = seconds()
    later = min(seconds() for _ in range(3))
    print(f"first step {first:6.2f} s, later ones {later:6.3f} s")


if __name__ == "__main__":
    define_flags()
    app.run(main)
