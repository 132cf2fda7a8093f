"""Ranges of a text joined one after another, as one text."""

import numpy as np


class JoinedRanges:
    """Where positions in the joined ranges are in the text itself.

    Args:
        bounds: First and one past the last position of each range, [R, 2].
    """

    def __init__(self, bounds: np.ndarray):
        self.stops = np.cumsum(bounds[:, 1] - bounds[:, 0])
        """Where each range ends in the joined text, [R]."""
        self.starts = np.append(0, self.stops[:-1])
        """Where each range begins in the joined text, [R]."""
        self._offsets = bounds[:, 0] - self.starts

    @property
    def length(self) -> int:
        """Characters of the joined text."""
        return int(self.stops[-1]) if len(self.stops) else 0

    def in_text(self, positions: np.ndarray) -> np.ndarray:
        """Returns where in the text positions in the joined ranges are."""
        index = np.searchsorted(self.stops, positions, side="right")
        in_text: np.ndarray = positions + self._offsets[index]
        return in_text

    def range_start(self, position: int) -> int:
        """Returns where the range that holds a position begins."""
        index = np.searchsorted(self.stops, position, side="right")
        return int(self.starts[index])

    def read(self, ids: np.ndarray, start: int, out: np.ndarray) -> list[int]:
        """Reads the joined text on from a position, round at its end.

        Slices are several times faster than one index a character.

        Args:
            ids: The text, integers [length].
            start: First position to read.
            out: Where to, [L].

        Returns:
            The indices in `out` at which a range begins.
        """
        joins = []
        done, position = 0, start % self.length
        while done < len(out):
            index = int(np.searchsorted(self.stops, position, side="right"))
            if position == self.starts[index]:
                joins.append(done)
            count = min(len(out) - done, int(self.stops[index]) - position)
            first = position + int(self._offsets[index])
            out[done : done + count] = ids[first : first + count]
            done += count
            position = (position + count) % self.length
        return joins
