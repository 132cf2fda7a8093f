"""Trains a character-level recurrent network on text.

Without any flag the text is the source code of Python's standard library on
this machine, and the model is in ./workdir. Run the same command again to
resume where it stopped; Ctrl-C saves and exits. The loss is in nats per
character.

    kerasrnn-train --data=input.txt --workdir=my_model
    kerasrnn-train --preset=charrnn --data='books/*.txt'
    kerasrnn-train --init_from=my_model --data=more.txt --workdir=new_model
    kerasrnn-train --report --workdir=my_model
"""

import os
import sys
from typing import TYPE_CHECKING

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.command_line.config_flags import define_config_flags
from kerasrnn.command_line.config_flags import given_fields
from kerasrnn.command_line.flag_types import define_float
from kerasrnn.command_line.flag_types import define_integer
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.command_line.presets import summaries
from kerasrnn.command_line.program_help import FlagGroup
from kerasrnn.config import STRATEGIES
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.extras import require_tensorflow
from kerasrnn.foundation.constraints import AMOUNT
from kerasrnn.foundation.constraints import COUNT
from kerasrnn.foundation.processor import prefer_onednn

if TYPE_CHECKING:  # It needs NumPy, which --help does without.
    from kerasrnn.training.settings import Request


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    define_path(
        "workdir",
        "workdir",
        "Directory for checkpoints, logs and samples; made if it does not "
        "exist. A run in it is resumed, and flags that are not given then "
        "keep their values.",
        flag_values,
    )
    flags.DEFINE_string(
        "preset",
        None,
        "Uses a set of flags that ships with kerasrnn. Any other flag on the "
        "command line overrides it. The presets are "
        f"{'; '.join(summaries())}.",
        flag_values=flag_values,
    )
    define_integer(
        "max_steps",
        0,
        "Total number of steps; 0 runs all epochs. The learning rate's "
        "schedule ends there.",
        flag_values,
        COUNT,
    )
    define_float(
        "minutes",
        0.0,
        "Minutes to train in total, including earlier runs in the workdir; 0 "
        "is no limit. The learning rate's schedule ends there.",
        flag_values,
        AMOUNT,
    )
    flags.DEFINE_enum(
        "strategy",
        "auto",
        STRATEGIES,
        "The devices to train on. one_device: one GPU or the CPU; mirrored: "
        "all GPUs of this machine; multi_worker: all machines that TF_CONFIG "
        "lists, each running the same command; tpu: the TPU of --tpu; auto: "
        "the TPU, else the machines of TF_CONFIG, else all GPUs, else the "
        "CPU.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "tpu",
        "",
        "Name or address of a TPU; local is the one of this machine.",
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "report",
        False,
        "Do not train; draw the losses and samples in the workdir so far as a "
        "page, its report.html or --output.",
        flag_values=flag_values,
    )
    define_path("output", None, "File that --report writes.", flag_values)
    define_config_flags(flag_values)


# Every flag is in one of them.
FLAG_GROUPS = (
    FlagGroup(
        "What to read",
        ("data", "init_from", "vocabulary", "validation_fraction"),
        (
            "test_fraction",
            "split",
            "split_streams",
            "min_count",
            "normalize_newlines",
            "document_separator",
        ),
    ),
    FlagGroup(
        "The network",
        ("preset", "cell", "units", "num_layers", "dropout"),
        (
            "recurrent_kernel_dropout",
            "dropout_warmup_steps",
            "embedding_size",
            "initializer",
        ),
    ),
    FlagGroup(
        "Training",
        ("batch_size", "sequence_length", "learning_rate", "seed"),
        (
            "segment_length",
            "optimizer",
            "schedule",
            "warmup_steps",
            "decay_rate",
            "decay_after",
            "beta_1",
            "beta_2",
            "epsilon",
            "weight_decay",
            "clip_norm",
            "clip_value",
            "averaging",
            "on_nan",
        ),
    ),
    FlagGroup("When to stop", ("epochs", "max_steps", "minutes", "patience")),
    FlagGroup(
        "Devices",
        ("strategy", "dtype_policy"),
        ("tpu", "accumulation_steps", "jit_compile"),
    ),
    FlagGroup(
        "Records",
        ("workdir", "report", "output"),
        (
            "evaluate_every",
            "validation_cost",
            "validation_context",
            "checkpoint_every",
            "keep",
            "sample_every",
            "sample_length",
        ),
    ),
)


def main(argv: list[str]) -> int:
    """Runs the program."""
    del argv
    values = flags.FLAGS
    if values.report:
        from kerasrnn.training.records.report import write_report

        path = write_report(values.workdir, values.output)
        print(f"Wrote {path}. Open it in a browser.")
        return 0
    if values.output is not None:
        raise UserError(
            "--output names the file that --report writes; give both. A "
            "model is trained in --workdir."
        )
    if values.preset is not None:
        raise UserError("--preset works on the command line only.")
    require_tensorflow("kerasrnn-train")
    prefer_onednn(os.environ)
    # Before any import that starts threads: they inherit what is blocked.
    from kerasrnn.foundation.closed_outputs import EnduringFile
    from kerasrnn.foundation.signals import Interrupted
    from kerasrnn.foundation.signals import Interruption

    interruption = Interruption()
    interruption.listen()
    from kerasrnn.training.run import train

    try:
        train(_request(values), interruption, os.environ)
    except Interrupted as interrupted:
        # The reader of the output may have ended by the same Ctrl-C.
        output = EnduringFile(sys.stdout)
        print("Saved. Run the same command again to resume.", file=output)
        output.flush()
        return 128 + interrupted.signal
    return 0


def _request(values: flags.FlagValues) -> "Request":
    """Returns what the flags ask for."""
    from kerasrnn.training.settings import Request

    return Request(
        workdir=values.workdir,
        data=given_fields(values, DataConfig),
        model=given_fields(values, ModelConfig),
        training=given_fields(values, TrainingConfig),
        limits={
            name: values[name].value
            for name in ("max_steps", "minutes")
            if values[name].present
        },
        strategy=values.strategy,
        tpu=values.tpu,
    )


def run() -> None:
    """Entry point of `kerasrnn-train`."""
    program.run(main, define_flags, FLAG_GROUPS)


if __name__ == "__main__":
    run()
