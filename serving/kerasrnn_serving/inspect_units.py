"""Shows what the units of a network do while it reads a text.

Writes one HTML page, which needs no network: the text, coloured by what a
unit does; the likeliest next characters under each; and which units follow
quotes, comments, brackets, indentation and the like. Without --file or
--text it reads what was held out for validation.

    kerasrnn-inspect --workdir=my_model --file=program.py
    kerasrnn-inspect --server=localhost:8500 --file=program.py
    kerasrnn-inspect --workdir=my_model --terminal --unit=2:17
"""

import contextlib
import os
import pathlib
import sys

from absl import flags

from kerasrnn import program
from kerasrnn.activity import Activity
from kerasrnn.constraints import POSITIVE_COUNT
from kerasrnn.errors import UserError
from kerasrnn.extras import require_tensorflow
from kerasrnn.flag_types import define_integer
from kerasrnn.flag_types import define_path
from kerasrnn.reporting.probes import SYNTAXES
from kerasrnn_serving import connection_flags


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
        "The unit to show first, as LAYER:UNIT, both counted from 1; without "
        "it the one that follows something best.",
    )
    define(
        flags.DEFINE_enum,
        "syntax",
        "auto",
        ("auto", *SYNTAXES),
        "What starts a comment and ends quotes in the text: as in Python and "
        "shell (hash), C, TeX or prose. auto goes by what the text looks like.",
    )
    connection_flags.define_connection_flags(flag_values, None)
    define(
        define_integer,
        "num_layers",
        None,
        "Layers that the model's units belong to, where it does not say so "
        "itself, as earlier exports.",
        allowed=POSITIVE_COUNT,
    )


def main(argv: list[str]) -> int:
    """Runs the program."""
    if argv[1:]:
        raise UserError(
            f"Unexpected argument {argv[1]!r}; a text is given with "
            "--file=... or --text=..."
        )
    return execute(flags.FLAGS)


def execute(values: flags.FlagValues) -> int:
    """Does what the flags say and returns the exit status."""
    from kerasrnn.training import files

    target = None if values.terminal else files.page_target(values.output)
    text, name = _given_text(values)
    with contextlib.ExitStack() as stack:
        if values.server is not None:
            model, title = _served(values, text, stack)
        else:
            model, title = _in_process(values)
        if text is None:
            text = model.validation_text(values.length)
            name = "the validation text"
        _inspect(values, model, title, text, name, target)
    return 0


def _given_text(values):
    """Returns the text and its name; None where none is given."""
    from kerasrnn.sampling_flags import read_file

    if values.text is not None and values.file is not None:
        raise UserError("Both --text and --file are given; give one of them.")
    if values.text is not None:
        return os.fsencode(values.text), "the text given"
    if values.file == "-":
        return sys.stdin.buffer.read(), "standard input"
    if values.file is not None:
        return read_file(values.file, "--file"), values.file
    return None, None


def _served(values, text, stack):
    if values["workdir"].present:
        raise UserError(
            "Both --workdir and --server are given; give the one whose model "
            "is to be looked into."
        )
    if text is None:
        raise UserError(
            "A served model does not hold the text that it was trained on; "
            "give one to read with --file or --text."
        )
    client = stack.enter_context(connection_flags.client_of(values))
    return client, f"{values.model} at {values.server}"


def _in_process(values):
    require_tensorflow("kerasrnn-inspect --workdir")
    from kerasrnn.training import checkpoint

    # Says that there is no model before TensorFlow is imported.
    path = checkpoint.find(values.workdir, values.checkpoint)
    _say(f"Loading {path} ...")
    with Activity("Starting TensorFlow"):
        from kerasrnn_serving.in_process import InProcessModel

        model = InProcessModel(values.workdir, values.checkpoint)
    return model, pathlib.Path(values.workdir).resolve().name


def _inspect(values, model, title, text, name, target):
    from kerasrnn.reporting import findings
    from kerasrnn.reporting.probes import syntax_of
    from kerasrnn_serving import readings

    text = readings.first_characters(text, values.length)
    _say(f"Reading {name} ...")
    with Activity("Reading") as activity:
        reading = readings.read(model, text, values.num_layers, activity.share)
    if reading.unknown:
        _say(
            f"{reading.unknown:,} of the {len(reading.characters):,} "
            "characters read are unknown to the model."
        )
    unit = readings.unit_named(values.unit, reading)
    _say("Reading the same characters in random order ...")
    with Activity("Reading") as activity:
        shuffled = readings.read(
            model,
            readings.shuffled_text(reading),
            values.num_layers,
            activity.share,
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
    unit = found.first_unit() if unit is None else unit
    if target is None:
        _print_colored(reading, found, unit)
    else:
        _write_page(target, reading, found, unit, title, name)


def _print_colored(reading, found, unit):
    from kerasrnn.reporting import terminal

    sys.stdout.buffer.write(terminal.colored(reading, found, unit).encode())
    sys.stdout.buffer.flush()


def _write_page(target, reading, found, unit, title, name):
    from kerasrnn.reporting.inspection_page import inspection_page
    from kerasrnn.reporting.inspection_page import share_sentences
    from kerasrnn.training import files

    page = inspection_page(reading, found, unit=unit, model=title, name=name)
    data = page.encode("utf-8", "replace")
    files.write_page(target, data)
    for sentence in share_sentences(found):
        print(sentence)
    print(f"Wrote {target} ({len(data) / 1e6:.1f} MB). Open it in a browser.")


def _say(text):
    print(text, file=sys.stderr, flush=True)


def run() -> None:
    """Entry point of `kerasrnn-inspect`."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
