"""Flags made from the configuration's dataclasses, and back.

The help of a flag is the description of the field in its class's docstring,
so that there is one place where a setting is explained.
"""

import dataclasses
import inspect
import os
import re
import typing

from absl import flags

from kerasrnn import config as configuration
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.escapes import unescaped

_CHOICES = {
    "cell": configuration.CELLS,
    "initializer": configuration.INITIALIZERS,
    "dtype_policy": configuration.DTYPE_POLICIES,
    "vocabulary": configuration.VOCABULARIES,
    "split": configuration.SPLITS,
    "optimizer": configuration.OPTIMIZERS,
    "schedule": configuration.SCHEDULES,
    "on_nan": configuration.ON_NAN,
    "jit_compile": ("auto", "on", "off"),
}

# Found out from the text.
_NOT_FLAGS = ("vocabulary_size", "separator_id")


def define_config_flags(flag_values: flags.FlagValues) -> None:
    """Defines a flag for each field of the data, the model and the training."""
    for cls in (DataConfig, ModelConfig, TrainingConfig):
        helps = field_helps(cls)
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.name in _NOT_FLAGS:
                continue
            _define(field, hints[field.name], helps[field.name], flag_values)


def given_fields(flag_values: flags.FlagValues, cls) -> dict:
    """Returns the fields of a configuration class that flags were given for.

    Paths are made absolute, so that a training can be resumed from another
    directory.
    """
    fields = {}
    for field in dataclasses.fields(cls):
        if field.name in _NOT_FLAGS or not flag_values[field.name].present:
            continue
        value = flag_values[field.name].value
        if field.name == "data":
            value = tuple(map(_absolute, value))
        elif field.name == "init_from" and value:
            value = _absolute(value)
        elif field.name == "document_separator":
            value = unescaped(value)
        fields[field.name] = value
    return fields


def field_helps(cls) -> dict[str, str]:
    """Returns the descriptions of a dataclass's fields from its docstring."""
    text = inspect.cleandoc(cls.__doc__).partition("Attributes:\n")[2]
    entries = re.split(r"^    (?=\w+: )", text, flags=re.MULTILINE)[1:]
    helps = {}
    for entry in entries:
        name, _, description = entry.partition(": ")
        helps[name] = " ".join(description.replace("`", "").split())
    return helps


def _define(field, hint, text, flag_values):
    name, default = field.name, field.default
    if name in _CHOICES:
        flags.DEFINE_enum(
            name, default, _CHOICES[name], text, flag_values=flag_values
        )
    elif hint is bool:
        flags.DEFINE_bool(name, default, text, flag_values=flag_values)
    elif hint is int:
        flags.DEFINE_integer(name, default, text, flag_values=flag_values)
    elif hint is float:
        flags.DEFINE_float(name, default, text, flag_values=flag_values)
    elif hint is str:
        flags.DEFINE_string(name, default, text, flag_values=flag_values)
    else:
        flags.DEFINE_multi_string(
            name, list(default), text, flag_values=flag_values
        )


def _absolute(path):
    return os.path.abspath(os.path.expanduser(path))
