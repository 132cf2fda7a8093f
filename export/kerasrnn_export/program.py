"""Publishes a trained model as the next version of a SavedModel to serve.

    kerasrnn-export --workdir=my_model --export_dir=my_export
    kerasrnn-export --describe=my_export

The version gets its number once it is complete: after its graph has been
checked, loaded as a server loads it, and compared with the model.
"""

from absl import flags
from absl import logging

from kerasrnn.command_line import program
from kerasrnn.command_line.activity import Activity
from kerasrnn.command_line.flag_types import define_float
from kerasrnn.command_line.flag_types import define_integer
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.errors import UserError
from kerasrnn.extras import require_tensorflow
from kerasrnn.foundation.constraints import constraints
from kerasrnn_export.graph.options import SamplerOptions
from kerasrnn_export.release import manifest
from kerasrnn_export.release.publish import preparation

_DEFAULTS = SamplerOptions()


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path(
        "workdir", None, "Directory that kerasrnn-train wrote.", flag_values
    )
    define_path(
        "export_dir",
        None,
        "Directory that the server watches; the version gets the next number "
        "in it.",
        flag_values,
    )
    flags.DEFINE_enum(
        "checkpoint",
        "best",
        ["best", "latest"],
        "Which weights: those with the best validation loss, or the newest.",
        flag_values=flag_values,
    )
    for function, name, text in (
        (
            define_integer,
            "max_length",
            "Largest number of characters that one call generates; may only "
            "be raised.",
        ),
        (
            define_integer,
            "max_prompt",
            "Largest number of characters that one call reads; may only be "
            "raised.",
        ),
        (
            define_integer,
            "default_length",
            "Characters that the signature serving_default generates.",
        ),
        (
            define_float,
            "default_temperature",
            "Temperature of the signature serving_default.",
        ),
        (
            define_integer,
            "default_seed",
            "Seed of the signature serving_default.",
        ),
    ):
        allowed = constraints(SamplerOptions)[name]
        function(name, getattr(_DEFAULTS, name), text, flag_values, allowed)
    define_path(
        "describe",
        None,
        "Do not export; print what a version (or the newest one in an export "
        "directory) contains, and check its files.",
        flag_values,
    )


def main(argv: list[str]) -> int:
    """Exports, or describes."""
    del argv
    values = flags.FLAGS
    if values.describe is not None:
        text, intact = manifest.describe(values.describe)
        print(text)
        return 0 if intact else 1
    for name, meaning in (
        ("workdir", "the directory that kerasrnn-train wrote"),
        ("export_dir", "the directory that the server watches"),
    ):
        if not getattr(values, name):
            raise UserError(f"Give --{name}, {meaning}.")
    options = SamplerOptions(
        max_length=values.max_length,
        max_prompt=values.max_prompt,
        default_length=values.default_length,
        default_temperature=values.default_temperature,
        default_seed=values.default_seed,
    )
    require_tensorflow("kerasrnn-export")
    # Mistakes are reported before TensorFlow is imported.
    from kerasrnn.training.checkpoints.finding import find

    path = find(values.workdir, values.checkpoint).path
    with preparation(values.export_dir):
        pass
    print(f"Exporting {path}", flush=True)
    with Activity("Starting TensorFlow") as activity:
        import tensorflow as tf

        from kerasrnn_export.exporter import export_workdir

        # It logs what it does, and calls the servers' loader deprecated.
        logging.set_verbosity(logging.WARNING)
        tf.get_logger().setLevel("ERROR")
        version = export_workdir(
            values.workdir,
            values.export_dir,
            values.checkpoint,
            options,
            activity.now,
        )
    print(f"Published {version}, verified against the model.")
    return 0


def run() -> None:
    """Entry point of `kerasrnn-export`."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
