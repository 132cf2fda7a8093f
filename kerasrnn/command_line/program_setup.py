"""What a program sees to before it does anything: its process's settings.

A program chooses what it needs, whatever the process inherits: standard
streams that are closed, as under cron, and Keras' settings, which are made for
other programs.
"""

import gc
import logging
import os
import sys
import types

import absl.logging

from kerasrnn.errors import UserError
from kerasrnn.foundation.imports import wrap_import

# At another value they end in a traceback, or abort the process.
_EXPECTED = {
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": ("python", "upb"),
    "TF_DETERMINISTIC_OPS": ("0", "1", "false", "true"),
}


def open_standard_streams() -> None:
    """Opens standard streams that are closed on the null device.

    Otherwise the next files opened would get their numbers, and be written
    to by whatever prints; and `sys.stdout` would be None.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
        stream = getattr(sys, name)
        if stream is None:
            mode = "w" if number else "r"
            stream = open(number, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        elif number and hasattr(stream, "reconfigure"):
            # A name or a text may have what the terminal cannot show.
            stream.reconfigure(errors="backslashreplace")


def choose_keras_settings() -> None:
    """Makes Keras start with TensorFlow and its own defaults.

    Neither `KERAS_BACKEND` nor `keras.json` is for a program: with another
    backend or another type of numbers than it was made for, it would fail or
    compute something else.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # Where there can be no keras.json. No data sets are loaded from there.
    os.environ["KERAS_HOME"] = os.devnull
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        os.environ.pop(name, None)


class _WithoutWrappers(types.ModuleType):
    """Has every public name, and nothing behind it."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def leave_out_scikit_learn() -> None:
    """Lets Keras be imported without scikit-learn, a quarter faster.

    Where that is installed, Keras imports all of it for wrappers that no
    program of ours uses. scikit-learn itself can be imported as before.
    """
    name = "keras.src.wrappers.sklearn_wrapper"
    sys.modules.setdefault(name, _WithoutWrappers(name))


def import_without_collecting() -> None:
    """Lets TensorFlow and Keras be imported without collecting garbage.

    What an import makes stays, and Python would look through it many times
    meanwhile, and afterwards whenever it looks for garbage.
    """
    wrap_import(("tensorflow", "keras"), _execute)


def _execute(exec_module, module):
    collects = gc.isenabled()
    gc.disable()
    try:
        exec_module(module)
    finally:
        if collects:
            gc.freeze()
            gc.enable()


class _PlainWarnings(absl.logging.PythonFormatter):
    """Writes warnings as sentences, and all else as absl does."""

    def format(self, record):
        if record.levelno != logging.WARNING:
            return super().format(record)
        return f"warning: {record.getMessage()}"


def warn_in_plain_words() -> None:
    """Makes warnings readable to those who have not written the code."""
    absl.logging.get_absl_handler().setFormatter(_PlainWarnings())


def check_environment() -> None:
    """Checks variables that make TensorFlow or Protocol Buffers give up.

    Raises:
        UserError: One of them is set to what they do not understand.
    """
    for name, expected in _EXPECTED.items():
        value = os.environ.get(name, "")
        if value and value.lower() not in expected:
            raise UserError(
                f"The environment variable {name} is {value!r}; expected one "
                f"of {', '.join(expected)}. Set it to one of them, or `unset "
                f"{name}`."
            )
