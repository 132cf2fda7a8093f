r"""Writes a whole training step as one XLA module, for any compiler of XLA.

    python -m benchmarks.accelerators.lower_training_step --units=512 \
        --output=step.hlo

The step is forward, backward, clip and optimizer, with every shape static:

    charrnn     what kerasrnn-train runs on each replica of a TPU
    sequential  kerasrnn.layers in a keras.Sequential on one-hot input

Nothing here needs the device that the module is for: compile_for_tpu.py
compiles it without a TPU, and run_lowered_step.py times it on a GPU.
docs/accelerators.md has the commands and their results.
"""

from pathlib import Path

from absl import app
from absl import flags

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    for name, values, text in (
        ("cell", ["lstm", "gru", "simple_rnn"], "Kind of cell."),
        ("dtype", list(_POLICIES), "bfloat16 is the mixed_bfloat16 policy."),
        ("model", ["charrnn", "sequential"], "Which step, see above."),
        ("device", ["TPU", "GPU"], "What it is for."),
    ):
        flags.DEFINE_enum(
            name, values[0], values, text, flag_values=flag_values
        )
    for name, value, text in (
        ("layers", 2, "Number of recurrent layers."),
        ("units", 512, "Width of each layer."),
        ("batch", 64, "Streams side by side."),
        ("length", 100, "Time steps of a stream."),
        ("vocabulary", 65, "Number of characters."),
    ):
        flags.DEFINE_integer(name, value, text, 1, flag_values=flag_values)
    flags.DEFINE_float(
        "dropout", 0.1, "Dropout of charrnn.", flag_values=flag_values
    )
    flags.DEFINE_boolean(
        "tf32",
        True,
        "Let a GPU round float32 to TensorFloat-32 before it multiplies.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "output", "step.hlo", "File to write.", flag_values=flag_values
    )


def main(argv):
    """Writes the module, and says how large it is."""
    del argv
    import tensorflow as tf

    from kerasrnn.config import Config
    from kerasrnn.config import ModelConfig
    from kerasrnn.config import TrainingConfig
    from kerasrnn.training.step import lowering

    options = flags.FLAGS
    tf.config.experimental.enable_tensor_float_32_execution(options.tf32)
    config = Config(
        model=ModelConfig(
            vocabulary_size=options.vocabulary,
            cell=options.cell,
            units=options.units,
            num_layers=options.layers,
            dropout=options.dropout,
            dtype_policy=_POLICIES[options.dtype],
        ),
        training=TrainingConfig(
            batch_size=options.batch, sequence_length=options.length
        ),
    )
    steps = {
        "charrnn": lowering.charrnn_step,
        "sequential": lowering.sequential_step,
    }
    module = lowering.lower(
        *steps[options.model](config), device=options.device
    )
    Path(options.output).write_bytes(module)
    print(f"{options.output}: {len(module):,} bytes")


if __name__ == "__main__":
    define_flags()
    app.run(main)
