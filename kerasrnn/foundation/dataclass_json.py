"""Dataclasses as JSON, and back: each field by its name and of its type.

What is read may come from anybody. Only what the fields' types allow becomes
an object, and each class checks its own fields when it is made.
"""

import dataclasses
import json
import math
import types
import typing
from typing import Any
from typing import NoReturn
from typing import TypeVar

from kerasrnn.errors import UserError

T = TypeVar("T")


def to_json(value: Any) -> str:
    """Returns a dataclass, and those in its fields, as indented JSON text."""
    return json.dumps(dataclasses.asdict(value), indent=2) + "\n"


def check_size(value: Any, most: int, where: str) -> None:
    """Checks that `to_json` returns no more than is ever read.

    Args:
        value: The dataclass.
        most: Characters of JSON, at most.
        where: What an error calls it.

    Raises:
        UserError: It would return more. Only strings can be so long, and
            those are paths.
    """
    size = len(to_json(value))
    if size > most:
        raise UserError(
            f"The {where} would have {size:,} characters, because of the paths "
            f"in it, and at most {most:,} are ever read; name fewer paths, by "
            "patterns such as 'folder/*.txt'."
        )


def from_json(
    cls: type[T], text: str, where: str, absent: dict[str, Any] | None = None
) -> T:
    """Returns the object that `to_json` wrote.

    Args:
        cls: A dataclass. Its fields are of plain types, tuples of strings or
            dataclasses like it; those not in the text have their defaults.
        text: The JSON.
        where: What an error calls it.
        absent: For some of the fields that are dataclasses, what fields in
            them are where the text lacks them, other than their defaults.

    Raises:
        UserError: The text is not JSON, or has a field that the class does
            not know, or one of another type.
    """
    try:
        values = loads(text)
    except ValueError as error:
        raise UserError(f"The {where} is not JSON: {error}.") from None
    for name, fields in (absent or {}).items():
        if isinstance(values, dict) and isinstance(values.get(name), dict):
            values[name] = fields | values[name]
    return _from_dict(cls, values, where)


def loads(text: str | bytes) -> Any:
    """Returns what a JSON text says.

    Numbers are those of JSON that 64 bits hold: neither NaN nor Infinity,
    which the standard library reads as well, nor integers that overflow
    wherever they are used.

    Raises:
        ValueError: It is not JSON of that kind.
    """
    try:
        return json.loads(
            text,
            parse_constant=_refused,
            parse_int=_int64,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refused(name: str) -> NoReturn:
    raise ValueError(f"it has {name} for a number")


def _int64(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refused(digits[:20])


def _from_dict(cls: type[T], values: Any, where: str) -> T:
    if not isinstance(values, dict):
        raise UserError(
            f"Expected an object at {where}, received {type(values).__name__}."
        )
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise UserError(
            f"The {where} has unknown fields {unknown}; it was written by "
            "another version of kerasrnn. Known are "
            f"{sorted(hints)}."
        )
    arguments = {}
    for name, value in values.items():
        arguments[name] = _converted(hints[name], value, f"{where}.{name}")
    try:
        return cls(**arguments)
    except TypeError as error:
        raise UserError(f"The {where} is incomplete: {error}.") from None


def _converted(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _from_dict(hint, value, where)
    if isinstance(hint, types.GenericAlias):
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
    elif hint is float and type(value) in (int, float):
        return float(value)
    elif type(value) is hint:
        return value
    raise UserError(f"Expected {hint} at {where}, received {value!r}.")
