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

    def in_text(self, positions: np.ndarray) -> np.ndarray:
        """Returns where in the text positions in the joined ranges are."""
        index = np.searchsorted(self.stops, positions, side="right")
        in_text: np.ndarray = positions + self._offsets[index]
        return in_text
