"""The flags that programs define, as values of absl."""

import importlib

from absl import flags

from helpers.processes.program_runner import PROGRAMS
from kerasrnn.command_line import program_flags


def flags_of(name):
    """Returns the flags of a program, by name."""
    values = flags.FlagValues()
    importlib.import_module(PROGRAMS[name]).define_flags(values)
    return program_flags.own_flags(values, set())
