"""What values a setting may have, declared in its type.

    @dataclasses.dataclass(frozen=True)
    class Settings:
        units: Annotated[int, Range(1, 2**16)] = 128
        cell: Annotated[str, Choice(("lstm", "gru"))] = "lstm"

        def __post_init__(self):
            check_fields(self)

The flags of the programs are made from the same declarations.
"""

import dataclasses
import numbers
import os
import types
import typing
from typing import Any

from kerasrnn.errors import UserError
from kerasrnn.foundation.paths import complaint_about
from kerasrnn.foundation.phrases import shown

# The largest count that TensorFlow takes everywhere.
INT32_MAX = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; never NaN.

    Attributes:
        low: The least, or what all are above.
        high: The largest, or what all are below.
        above_low: Whether `low` itself is left out.
        below_high: Whether `high` itself is left out.
    """

    low: float
    high: float
    above_low: bool = False
    below_high: bool = False

    def __contains__(self, value) -> bool:
        low = value > self.low if self.above_low else value >= self.low
        high = value < self.high if self.below_high else value <= self.high
        return low and high

    def __str__(self) -> str:
        low, high = _spelled(self.low), _spelled(self.high)
        if not self.above_low and not self.below_high:
            return f"from {low} to {high}"
        return (
            f"{'above' if self.above_low else 'at least'} {low} and "
            f"{'below' if self.below_high else 'at most'} {high}"
        )

    def complaint(self, value: Any) -> str:
        """Returns what a value should be instead, or ""."""
        return "" if value in self else str(self)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some strings."""

    choices: tuple[str, ...]

    def complaint(self, value: Any) -> str:
        """Returns what a value should be instead, or ""."""
        if value in self.choices:
            return ""
        return f"one of {', '.join(self.choices)}"


@dataclasses.dataclass(frozen=True)
class LocalPath:
    """A path on this machine, or several."""

    def complaint(self, value: Any) -> str:
        """Returns what a value should be instead, or ""."""
        paths = (value,) if isinstance(value, str) else value
        if any(map(complaint_about, paths)):
            return "a path on this machine (no scheme:// is supported)"
        return ""


FRACTION = Range(0, 1, below_high=True)
SHARE = Range(0, 1, above_low=True)
COUNT = Range(0, INT32_MAX)
POSITIVE_COUNT = Range(1, INT32_MAX)
# Neither infinite nor NaN, not even as float32.
AMOUNT = Range(0, 3.4e38)
# Of time, for clocks that count in nanoseconds of 64 bits.
SECONDS = Range(0, 10**9, above_low=True)
INT64 = Range(-(2**63), 2**63 - 1)


def constraints(cls: type) -> dict[str, Any]:
    """Returns the constraint of each field of a dataclass that has one."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        name: hint.__metadata__[0]
        for name, hint in hints.items()
        if hasattr(hint, "__metadata__")
    }


def check_fields(settings: object) -> None:
    """Checks the types of a dataclass's fields, and all constraints.

    Numbers of other libraries become Python's own, and paths their strings:
    what JSON brings back is then equal.

    Raises:
        UserError: The first field that is not what it must be.
    """
    hints = typing.get_type_hints(type(settings))
    limits = constraints(type(settings))
    for name, hint in hints.items():
        given = value = getattr(settings, name)
        if isinstance(hint, types.UnionType):
            if value is None:
                continue
            hint = typing.get_args(hint)[0]
        limit = limits.get(name)
        if isinstance(limit, LocalPath):
            value = _strings(value)
        complaint = ""
        if hint in _TYPES and not _is(value, hint):
            complaint = _TYPES[hint][1]
        else:
            value = _plain(value, hint)
            complaint = limit.complaint(value) if limit else ""
        if complaint:
            raise UserError(f"{name} must be {complaint}, not {shown(given)}.")
        object.__setattr__(settings, name, value)


_TYPES = {
    bool: (bool, "True or False"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    str: (str, "a string"),
    tuple[str, ...]: (tuple, "a tuple of strings"),
}


def _strings(paths):
    """Returns paths as strings, and several as a tuple."""
    if isinstance(paths, tuple | list):
        return tuple(map(_strings, paths))
    return os.fspath(paths) if isinstance(paths, os.PathLike) else paths


def _is(value, hint):
    if not isinstance(value, _TYPES[hint][0]):
        return False
    if isinstance(value, tuple):
        return all(isinstance(item, str) for item in value)
    # To Python True is a number.
    return hint is bool or not isinstance(value, bool)


def _plain(value, hint):
    """Returns a number as Python's own."""
    if hint not in (int, float):
        return value
    try:
        return hint(value)
    except OverflowError:
        return value  # No float is so large, nor any limit.


def _spelled(number):
    if isinstance(number, int):
        return f"{number:,}"
    return f"{number:g}"
