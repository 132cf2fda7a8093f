"""Shows what the units of a network do while it reads a text.

Writes one HTML page, which needs no network: the text, coloured by what a
unit does; the most likely next characters below each; and which units follow
quotes, comments, brackets, indentation and the like. Without --file or --text
it reads text that was held out for validation.

    kerasrnn-inspect --workdir=my_model --file=program.py
    kerasrnn-inspect --server=localhost:8500 --file=program.py
    kerasrnn-inspect --workdir=my_model --terminal --unit=2:17
"""

import contextlib
import functools
import os
import pathlib
import sys

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.command_line.activity import Activity
from kerasrnn.command_line.flag_types import define_integer
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.command_line.output import remark
from kerasrnn.errors import UserError
from kerasrnn.extras import require_tensorflow
from kerasrnn.foundation.constraints import POSITIVE_COUNT
from kerasrnn.foundation.phrases import counted
from kerasrnn.reporting.probes import SYNTAXES
from kerasrnn_serving.programs import connection_flags
from kerasrnn_serving.programs import readings


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""

    def define(function, *arguments, **options):
        function(*arguments, flag_values=flag_values, **options)

    define(
        define_path,
        "workdir",
        "workdir",
        "Directory that kerasrnn-train wrote; its model is read in this "
        "process.",
    )
    define(
        flags.DEFINE_enum,
        "checkpoint",
        "best",
        ("best", "latest"),
        "Which weights: those with the best validation loss, or the newest.",
    )
    define(flags.DEFINE_string, "text", None, "The text to read.")
    define(
        define_path,
        "file",
        None,
        "File that holds the text to read; - is standard input.",
    )
    define(
        define_integer,
        "length",
        5000,
        "Characters to read; the rest of a longer text is left out.",
        allowed=POSITIVE_COUNT,
    )
    define(
        define_path,
        "output",
        "inspection.html",
        "File to write the page to.",
    )
    define(
        flags.DEFINE_bool,
        "terminal",
        False,
        "Write no page: print the text in the colours of one unit.",
    )
    define(
        flags.DEFINE_string,
        "unit",
        None,
        "The unit to show first, as LAYER:UNIT, both counted from 1; by "
        "default the one that follows something best.",
    )
    define(
        flags.DEFINE_enum,
        "syntax",
        "auto",
        ("auto", *SYNTAXES),
        "What starts a comment and ends quotes in the text: as in Python and "
        "shell (hash), C, TeX or prose. auto decides from the text.",
    )
    connection_flags.define_connection_flags(flag_values, None)
    define(
        define_integer,
        "num_layers",
        None,
        "Number of layers of the model, for earlier exports whose metadata "
        "does not have it.",
        allowed=POSITIVE_COUNT,
    )


def main(argv: list[str]) -> int:
    """Runs the program."""
    del argv
    return execute(flags.FLAGS)


def execute(values: flags.FlagValues) -> int:
    """Does what the flags say and returns the exit status."""
    from kerasrnn.foundation import files

    # Mistakes are reported before TensorFlow is imported.
    target = None if values.terminal else files.page_target(values.output)
    text, name = _given_text(values)
    if values.unit is not None:
        readings.layer_and_unit(values.unit)
    with contextlib.ExitStack() as stack:
        if values.server is not None:
            new_model, title = _served(values, text, stack)
        else:
            saved = _saved_model(values)
            if text is None:
                text = _validation_text(values, saved)
                name = "the validation text"
            new_model, title = _in_process(values)
        _inspect(values, new_model, title, text, name, target)
    return 0


def _given_text(values):
    """Returns the text and its name; None where none is given."""
    from kerasrnn.command_line.sampling_flags import read_file

    if values.text is not None and values.file is not None:
        raise UserError("Both --text and --file are given; give one of them.")
    if values.text is not None:
        text, name = os.fsencode(values.text), "the text given"
    elif values.file == "-":
        text, name = sys.stdin.buffer.read(), "standard input"
    elif values.file is not None:
        text, name = read_file(values.file, "--file"), values.file
    else:
        return None, None
    readings.check_text(text)
    return text, name


def _served(values, text, stack):
    if values["workdir"].present:
        raise UserError(
            "Both --workdir and --server are given; give the one with the "
            "model to inspect."
        )
    if text is None:
        raise UserError(
            "A served model does not hold the text that it was trained on; "
            "give one to read with --file or --text."
        )
    client = stack.enter_context(connection_flags.client_of(values))
    new_model = functools.partial(readings.OneVersion, client)
    return new_model, f"{values.model} at {values.server}"


def _saved_model(values):
    """Returns the `Checkpoint` to look into, which has the unit to show."""
    require_tensorflow("kerasrnn-inspect --workdir")
    from kerasrnn.training.checkpoints.finding import find

    path, saved = find(values.workdir, values.checkpoint)
    model = saved.config.model
    num_layers = values.num_layers or model.num_layers
    per_layer = readings.units_per_layer(
        model.num_layers * model.units, num_layers
    )
    readings.unit_named(values.unit, num_layers, per_layer)
    remark(f"Loading {path} ...")
    return saved


def _validation_text(values, saved):
    """Returns the start of the text that was held out for validation."""
    import numpy as np

    from kerasrnn.training.checkpoints.workdir import open_corpus

    corpus = open_corpus(values.workdir, saved.info.get("corpus_sha256"))
    ranges = corpus.split_ranges(
        "validation", saved.config.training.sequence_length
    )
    if not ranges:
        raise UserError(
            "The model was trained with --validation_fraction=0, so "
            f"{values.workdir} holds no text to read; give one with --file."
        )
    # Those of an interleaved split are short: one after the other.
    pieces = [corpus.ids[a : min(b, a + values.length)] for a, b in ranges]
    ids = np.concatenate(pieces)[: values.length]
    return saved.vocabulary.decode_bytes(ids)


def _in_process(values):
    with Activity("Starting TensorFlow"):
        from kerasrnn_serving.programs.in_process import InProcessModel

        model = InProcessModel(values.workdir, values.checkpoint)
    return lambda: model, pathlib.Path(values.workdir).resolve().name


def _inspect(values, new_model, title, text, name, target):
    from kerasrnn.reporting import findings
    from kerasrnn.reporting.probes import syntax_of

    reading, shuffled = readings.beginning_again(
        lambda: _read_twice(values, new_model(), text, name)
    )
    syntax = values.syntax
    if syntax == "auto":
        syntax = syntax_of(reading.text)
    found = findings.find(
        reading.text,
        reading.activations,
        shuffled.text,
        shuffled.activations,
        syntax,
    )
    unit = readings.unit_named(
        values.unit, reading.num_layers, reading.units_per_layer
    )
    unit = found.first_unit() if unit is None else unit
    if target is None:
        _print_colored(reading, found, unit)
    else:
        _write_page(target, reading, found, unit, title, name)


def _read_twice(values, model, text, name):
    """Returns what the model does with the text, and with it shuffled."""
    text = readings.first_characters(text, values.length)
    remark(f"Reading {name} ...")
    with Activity("Reading") as activity:
        reading = readings.read(model, text, values.num_layers, activity.share)
    if reading.unknown:
        remark(
            f"Unknown to the model: {reading.unknown:,} of "
            f"{counted(len(reading.characters), 'character')} read."
        )
    # A unit that is not there is told before more is read.
    readings.unit_named(
        values.unit, reading.num_layers, reading.units_per_layer
    )
    remark("Reading the same characters in random order ...")
    with Activity("Reading") as activity:
        shuffled = readings.read(
            model,
            readings.shuffled_text(reading),
            values.num_layers,
            activity.share,
        )
    return reading, shuffled


def _print_colored(reading, found, unit):
    from kerasrnn.reporting import terminal

    sys.stdout.buffer.write(terminal.colored(reading, found, unit).encode())
    sys.stdout.buffer.flush()


def _write_page(target, reading, found, unit, title, name):
    from kerasrnn.foundation import files
    from kerasrnn.reporting.inspection_page import inspection_page
    from kerasrnn.reporting.inspection_page import share_sentences

    page = inspection_page(reading, found, unit=unit, model=title, name=name)
    data = page.encode("utf-8", "replace")
    files.write_page(target, data)
    for sentence in share_sentences(found):
        print(sentence)
    print(f"Wrote {target} ({len(data) / 1e6:.1f} MB). Open it in a browser.")


def run() -> None:
    """Entry point of `kerasrnn-inspect`."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
