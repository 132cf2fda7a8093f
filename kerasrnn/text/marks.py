"""Characters of a text that its reader does not see, and how many there are.

A byte order mark, carriage returns and null characters come from other
systems and from files that are no text. The model learns them as any other
character, so their number is told.
"""

import dataclasses
from typing import Any

import numpy as np

from kerasrnn.foundation.phrases import counted

_NULL, _NEWLINE, _RETURN, _BYTE_ORDER_MARK = 0, 0x0A, 0x0D, 0xFEFF


@dataclasses.dataclass(frozen=True)
class Marks:
    """How many of each a text has.

    Attributes:
        byte_order_marks: Files that begin with one.
        returns_before_newline: Carriage returns that a newline follows.
        lone_returns: Other carriage returns.
        nulls: Null characters.
    """

    byte_order_marks: int = 0
    returns_before_newline: int = 0
    lone_returns: int = 0
    nulls: int = 0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Marks":
        """Returns the marks that were written as JSON.

        Raises:
            TypeError: They were not.
            ValueError: They were not.
        """
        values = dict(values)
        if not all(type(value) is int for value in values.values()):
            raise ValueError(f"marks {values!r}")
        return cls(**values)

    def sentences(self) -> list[str]:
        """Returns what there is to tell the user; often nothing."""
        sentences = []
        found = [
            counted(number, *names)
            for number, *names in (
                (self.byte_order_marks, "byte order mark"),
                (self.returns_before_newline, r"\r\n", r"\r\n"),
                (self.lone_returns, r"lone \r", r"lone \r"),
            )
            if number
        ]
        if found:
            sentences.append(
                f"The text has {_listed(found)}, which the model learns as "
                r"characters; --normalize_newlines reads \r\n and \r as \n "
                "and leaves byte order marks out."
            )
        if self.nulls:
            sentences.append(
                f"The text has {counted(self.nulls, 'null character')}, as "
                "UTF-16 without a byte order mark, archives and other binary "
                "files have them; check that all files are text."
            )
        return sentences


def _listed(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


class MarksCounter:
    """Counts the marks of files, block by block."""

    def __init__(self) -> None:
        self._byte_order_marks = self._nulls = 0
        self._returns = self._before_newline = 0
        self.begin_file()

    def begin_file(self) -> None:
        """Says that the next block is the first of a file."""
        self._is_start = True
        self._after_return = False

    def count(self, code_points: np.ndarray, histogram: np.ndarray) -> None:
        """Counts a block.

        Args:
            code_points: Integers [n].
            histogram: Occurrences of each value in it.
        """
        if not len(code_points):
            return
        first, last = int(code_points[0]), int(code_points[-1])
        self._byte_order_marks += self._is_start and first == _BYTE_ORDER_MARK
        self._nulls += int(histogram[_NULL])
        self._before_newline += self._after_return and first == _NEWLINE
        self._is_start, self._after_return = False, last == _RETURN
        if len(histogram) > _RETURN and histogram[_RETURN]:
            self._returns += int(histogram[_RETURN])
            self._before_newline += int(
                np.count_nonzero(
                    (code_points[:-1] == _RETURN)
                    & (code_points[1:] == _NEWLINE)
                )
            )

    def marks(self) -> Marks:
        """Returns what was counted."""
        return Marks(
            byte_order_marks=self._byte_order_marks,
            returns_before_newline=self._before_newline,
            lone_returns=self._returns - self._before_newline,
            nulls=self._nulls,
        )
