"""Flags made from the configuration's dataclasses, and back.

The help of a flag is the description of the field in its class's docstring,
so that there is one place where a setting is explained.
"""

import dataclasses
import glob
import os
import re
import typing
from typing import Any

from absl import flags

from kerasrnn.command_line import flag_types
from kerasrnn.command_line.docstrings import docstring_of
from kerasrnn.command_line.escapes import unescaped
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.foundation.constraints import Choice
from kerasrnn.foundation.constraints import LocalPath
from kerasrnn.foundation.constraints import constraints

# Found out from the text.
_NOT_FLAGS = ("vocabulary_size", "separator_id")
# A new run chooses them by the text and the network: help shows no default.
CHOSEN_BY_RULE = (
    "dropout",
    "recurrent_kernel_dropout",
    "dropout_warmup_steps",
    "learning_rate",
    "epochs",
    "patience",
    "batch_size",
    "weight_decay",
)


def define_config_flags(flag_values: flags.FlagValues) -> None:
    """Defines a flag for each field of the data, the model and the training."""
    for cls in (DataConfig, ModelConfig, TrainingConfig):
        hints = typing.get_type_hints(cls)
        allowed = constraints(cls)
        helps = field_helps(cls)
        for field in dataclasses.fields(cls):
            name = field.name
            if name not in _NOT_FLAGS:
                _define(
                    name,
                    None if name in CHOSEN_BY_RULE else field.default,
                    hints[name],
                    allowed.get(name),
                    helps.get(name, ""),
                    flag_values,
                )


def given_fields(
    flag_values: flags.FlagValues, cls: type[Any]
) -> dict[str, Any]:
    """Returns the fields of a configuration class that flags were given for.

    Paths are made absolute, so that a run can be resumed from another
    directory.
    """
    fields = {}
    for field in dataclasses.fields(cls):
        if field.name in _NOT_FLAGS or not flag_values[field.name].present:
            continue
        value: Any = flag_values[field.name].value
        if field.name == "data":
            value = tuple(map(_absolute_pattern, value))
        elif field.name == "init_from" and value:
            value = _absolute(value)
        elif field.name == "document_separator":
            value = unescaped(value)
        fields[field.name] = value
    return fields


def field_helps(cls: type) -> dict[str, str]:
    """Returns the descriptions of a dataclass's fields from its docstring."""
    text = docstring_of(cls).partition("Attributes:\n")[2]
    entries = re.split(r"^    (?=\w+: )", text, flags=re.MULTILINE)[1:]
    helps = {}
    for entry in entries:
        name, _, description = entry.partition(": ")
        helps[name] = " ".join(description.replace("`", "").split())
    return helps


def _define(name, default, hint, allowed, text, flag_values):
    if isinstance(allowed, Choice):
        flags.DEFINE_enum(
            name, default, allowed.choices, text, flag_values=flag_values
        )
    elif isinstance(allowed, LocalPath) and hint is str:
        flag_types.define_path(
            name, default, text, flag_values, may_be_empty=True
        )
    elif isinstance(allowed, LocalPath):
        flag_types.define_paths(name, text, flag_values)
    elif hint is bool:
        flags.DEFINE_bool(name, default, text, flag_values=flag_values)
    elif hint is int:
        flag_types.define_integer(name, default, text, flag_values, allowed)
    elif hint is float:
        flag_types.define_float(name, default, text, flag_values, allowed)
    else:
        flags.DEFINE_string(name, default, text, flag_values=flag_values)


def _absolute(path):
    return os.path.abspath(os.path.expanduser(path))


def _absolute_pattern(pattern):
    """Does the same for a pattern: this directory's name is not one."""
    path = _absolute(pattern)
    # A file with a bracket in its name is that file.
    if os.path.lexists(path) or not glob.has_magic(pattern):
        return path
    return os.path.normpath(os.path.join(glob.escape(os.getcwd()), pattern))
