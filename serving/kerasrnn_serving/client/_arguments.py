"""The arguments of the clients' methods: one value for all texts, or one each.

Wrong ones are refused here: on the server they would cost a call, and could
fail the calls of strangers that it has merged with it.
"""

import contextlib
import math
import numbers
from collections.abc import Callable
from collections.abc import Sequence
from types import UnionType
from typing import Any
from typing import TypeVar

from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.foundation.phrases import shown

# UTF-8 where it is bytes.
Text = str | bytes
Converted = TypeVar("Converted")
# About the largest float32, as which they are sent.
_LARGEST_FLOAT = 3.4e38


def texts(values: Text | Sequence[Text], name: str) -> list[bytes]:
    """Returns the texts as UTF-8; one text is a list of one.

    Raises:
        UserError: Something in it is no text.
    """
    if isinstance(values, str | bytes):
        values = [values]
    try:
        values = list(values)
    except TypeError:
        raise UserError(
            f"{name} must be text, or a list of texts; received "
            f"{shown(values)}."
        ) from None
    return each_text(values, len(values), name)


def each_text(
    value: Text | Sequence[Text], count: int, name: str
) -> list[bytes]:
    """Returns `count` texts as UTF-8.

    Raises:
        UserError: It is neither text nor `count` texts.
    """

    def convert(text: Text) -> bytes:
        if isinstance(text, bytes):
            return text
        # Bytes of the command line that are not UTF-8 come as surrogates.
        return text.encode("utf-8", "surrogateescape")

    try:
        return _each(value, count, name, str | bytes, convert)
    except UnicodeEncodeError as error:
        raise UserError(
            f"{name} holds {error.object[error.start]!r}, which is no "
            "character. Give text, or bytes of UTF-8."
        ) from None


def each_float(
    value: float | Sequence[float], count: int, name: str
) -> list[float]:
    """Returns `count` numbers that a float32 holds, infinite ones included.

    Raises:
        UserError: It is neither a number nor `count` numbers, or one is out
            of range.
    """

    def convert(number: float) -> float:
        with contextlib.suppress(OverflowError):
            converted = float(number)
            if math.isinf(converted) or not abs(converted) > _LARGEST_FLOAT:
                return converted
        raise UserError(
            f"{name} must be -{_LARGEST_FLOAT:g} to {_LARGEST_FLOAT:g}, not "
            f"{shown(number)}."
        )

    return _each(value, count, name, numbers.Real, convert)


def each_integer(
    value: int | Sequence[int],
    count: int,
    name: str,
    minimum: int,
    maximum: int,
) -> list[int]:
    """Returns `count` whole numbers.

    Raises:
        UserError: It is neither a whole number nor `count` of them, or one
            is out of range.
    """
    values = _each(value, count, name, numbers.Integral, int)
    for entry in values:
        whole_number(entry, name, minimum, maximum)
    return values


def whole_number(value: Any, name: str, minimum: int, maximum: int) -> None:
    """Checks one value.

    Raises:
        UserError: It is no whole number, or out of range.
    """
    if not isinstance(value, numbers.Integral):
        raise UserError(f"{name} must be a whole number, not {shown(value)}.")
    if not minimum <= int(value) <= maximum:
        raise UserError(
            f"{name} must be {minimum} to {maximum}, not {shown(value)}."
        )


def version_number(version: int | None) -> None:
    """Checks the number of a version; None is the newest.

    Raises:
        UserError: It is no whole number, or out of range.
    """
    if version is not None:
        whole_number(version, "version", 0, 2**63 - 1)


def _each(
    value: Any,
    count: int,
    name: str,
    kind: type | UnionType,
    convert: Callable[[Any], Converted],
) -> list[Converted]:
    """Returns `count` values: one for all, or one for each."""
    if isinstance(value, kind):
        return [convert(value)] * count
    try:
        values = list(value)
    except TypeError:
        values = [value]
    wrong = [entry for entry in values if not isinstance(entry, kind)]
    if wrong:
        raise UserError(
            f"{name} must be {_KIND_NAMES[kind]}, or one for each text; "
            f"received {shown(wrong[0])}."
        )
    if len(values) != count:
        raise UserError(
            f"{name} has {counted(len(values), 'value')} for "
            f"{counted(count, 'text')}; give one "
            "value, or one for each."
        )
    return [convert(entry) for entry in values]


_KIND_NAMES: dict[object, str] = {
    str | bytes: "text",
    numbers.Real: "a number",
    numbers.Integral: "a whole number",
}
