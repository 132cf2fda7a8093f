"""Where pieces of a text begin: documents, paragraphs or lines."""

from collections.abc import Sequence

import numpy as np

from kerasrnn.text.vocabulary import Vocabulary

# How much of a text is looked at to see how it is divided, and how far back
# from a position its beginning is looked for.
_SAMPLE = 2**20
_REACH = 2_000
# Lengths of an example of a beginning.
_LEAST_WORDS, _MOST_WORDS = 4, 24


class Beginnings:
    """The places at which someone would begin to read.

    Such a place is a separator and what follows it: a generated text begins
    there as well, since the separator is what every text is taken to follow.
    Where it often stands twice, as between paragraphs, a place is the last of
    a run of two or more; otherwise any one of them that ends a run.

    Args:
        ids: Integers [length], held in memory or mapped.
        separator_id: Id that ends a line, paragraph or document.
        documents: Whether each separator ends a document.
    """

    def __init__(
        self, ids: np.ndarray, separator_id: int, documents: bool = False
    ):
        self._ids = ids
        self._separator_id = separator_id
        self._documents = documents
        self._run = 1
        sample = np.asarray(ids[:_SAMPLE]) == separator_id
        pairs = np.count_nonzero(sample[:-1] & sample[1:])
        if not documents and pairs * _REACH >= len(sample):
            self._run = 2

    def last_before(self, position: int) -> int:
        """Returns the last beginning at or before a position.

        Args:
            position: Index of an id.

        Returns:
            The index of the separator; or `position`, if there is none near.
        """
        first = max(position - _REACH, 0)
        places = np.flatnonzero(self._are(first, position + 1))
        return first + int(places[-1]) if len(places) else position

    def after(self, start: int, stop: int) -> int | None:
        """Returns the first beginning in a range, or None."""
        for first in range(start, stop, _REACH):
            places = np.flatnonzero(self._are(first, min(first + _REACH, stop)))
            if len(places):
                return first + int(places[0])
        return None

    def _are(self, start: int, stop: int) -> np.ndarray:
        """Says of each position in a range whether it is a beginning."""
        before = self._run - 1
        padded = np.zeros(stop - start + before + 1, bool)
        first, last = max(start - before, 0), min(stop + 1, len(self._ids))
        at = first - (start - before)
        here = np.asarray(self._ids[first:last]) == self._separator_id
        padded[at : at + len(here)] = here
        is_one = padded[before:-1].copy()
        if self._documents:
            return is_one
        is_one &= ~padded[before + 1 :]
        if before:
            is_one &= padded[:-2]
        # Nothing follows the text's end.
        if last == len(self._ids) and stop == len(self._ids):
            is_one[-1] = False
        return is_one


def first_words(
    ids: np.ndarray,
    ranges: Sequence[tuple[int, int]],
    vocabulary: Vocabulary,
) -> str:
    """Returns how a piece of a text begins, as an example of a prompt.

    Args:
        ids: Integers [length], held in memory or mapped.
        ranges: (start, stop) of the parts to look at.
        vocabulary: That of the ids.

    Returns:
        Some whole words of one line; or "", where there is no such piece.
    """
    beginnings = Beginnings(ids, vocabulary.start_id)
    for start, stop in ranges:
        place = start
        for _ in range(20):
            found = beginnings.after(place, stop)
            if found is None:
                break
            place = found + 1
            words = _words(vocabulary.decode(ids[place : place + 60]))
            if words:
                return words
    return ""


def _words(text: str) -> str:
    """Returns the first words of a line, or "" if they are no prompt."""
    line = text.splitlines()[0] if text else ""
    if len(line) > _MOST_WORDS:
        line = line[:_MOST_WORDS].rpartition(" ")[0] or line[:_MOST_WORDS]
    line = line.rstrip()
    good = line.isprintable() and line[:1].isalpha() and "\ufffd" not in line
    return line if good and len(line) >= _LEAST_WORDS else ""
