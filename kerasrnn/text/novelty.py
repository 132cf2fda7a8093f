"""Which lines of a text are new: not in the text that a model learned from."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from kerasrnn.errors import UserError
from kerasrnn.text.vocabulary import UNKNOWN_ID
from kerasrnn.text.vocabulary import Vocabulary

# Ids that are looked through at a time, so that any text fits into memory.
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class Novelty:
    """The lines of a generated text.

    Attributes:
        lines: All of them but empty ones, in order, repeats included.
        novel: Those that are not in the training text, each once.
    """

    lines: tuple[str, ...]
    novel: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share of the lines, repeats included, that are new."""
        novel = set(self.novel)
        count = sum(line in novel for line in self.lines)
        return count / max(len(self.lines), 1)


def complete_lines(text: str, ended: bool = False) -> list[str]:
    """Returns the lines of a text that are not empty.

    Args:
        text: What was generated, from the beginning of a line on.
        ended: Whether its last line is whole even without a newline.
    """
    lines = text.split("\n")
    return [line for line in (lines if ended else lines[:-1]) if line]


def newline_id(vocabulary: Vocabulary) -> int:
    """Returns the id of the newline.

    Raises:
        UserError: The model knows no newline.
    """
    newline = int(vocabulary.encode("\n")[0])
    if newline == UNKNOWN_ID:
        raise UserError(
            "The text that the model learned from has no newline, so there "
            "are no lines to compare."
        )
    return newline


def find_novel(
    lines: Sequence[str],
    ids: np.ndarray,
    ranges: Iterable[tuple[int, int]],
    vocabulary: Vocabulary,
) -> Novelty:
    """Compares lines with those of a training text.

    Args:
        lines: The lines to look for.
        ids: Ids of the text, in memory or mapped.
        ranges: (start, stop) of the parts that were trained on.
        vocabulary: What the ids stand for.

    Raises:
        UserError: The model knows no newline.
    """
    newline = newline_id(vocabulary)
    wanted = {_key(vocabulary.encode(line)) for line in lines}
    known = set()
    for start, stop in ranges:
        rest = ""
        for first in range(start, stop, _BLOCK):
            block = ids[first : min(first + _BLOCK, stop)]
            *whole, rest = (rest + _key(block)).split(chr(newline))
            known |= wanted.intersection(whole)
        known |= wanted & {rest}
    novel = (
        line for line in lines if _key(vocabulary.encode(line)) not in known
    )
    return Novelty(tuple(lines), tuple(dict.fromkeys(novel)))


def _key(ids: np.ndarray) -> str:
    """Returns ids as a string, which is split and found fast."""
    data = np.asarray(ids).astype("<u4").tobytes()
    return data.decode("utf-32-le", "surrogatepass")
