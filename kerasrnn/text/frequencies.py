"""What guessing by frequency achieves on a text, to compare a loss with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Characters that are counted, and that are scored.
_MOST_COUNTED = 2**22
_MOST_SCORED = 2**20


class Baselines(NamedTuple):
    """Losses of guesses that are made from counts, in nats per character.

    Attributes:
        by_character: By how often each character occurs.
        by_pair: By how often it follows the character before it.
    """

    by_character: float
    by_pair: float


def baselines(
    ids: np.ndarray,
    counted: Sequence[tuple[int, int]],
    scored: Sequence[tuple[int, int]],
    size: int,
) -> Baselines:
    """Returns the losses of guesses on some part of a text.

    Each character counts once more than it occurs. What follows a character is
    interpolated with that by the number of kinds that follow it (Witten and
    Bell, "The Zero-Frequency Problem", 1991). Of a long text a part is read.

    Args:
        ids: Integers [length], held in memory or mapped.
        counted: (start, stop) of the parts to count in.
        scored: Of the parts to guess. Unknown characters are not scored.
        size: The vocabulary's.
    """
    firsts, seconds = _pairs(ids, counted, _MOST_COUNTED)
    counts = 1.0 + np.bincount(seconds, minlength=size)
    counts[0] = 0  # Never predicted.
    shares = counts / counts.sum()
    known = seconds != 0
    codes, repeats = np.unique(
        firsts[known] * np.int64(size) + seconds[known], return_counts=True
    )
    total = np.bincount(codes // size, repeats, minlength=size)
    kinds = np.bincount(codes // size, minlength=size)
    # One more, behind all others, for what is searched and not there.
    codes = np.append(codes, np.iinfo(np.int64).max)
    repeats = np.append(repeats, 0)
    before, here = _pairs(ids, scored, _MOST_SCORED)
    before, here = before[here != 0], here[here != 0]
    if not len(here):
        return Baselines(np.nan, np.nan)
    wanted = before * np.int64(size) + here
    place = np.searchsorted(codes, wanted)
    found = np.where(codes[place] == wanted, repeats[place], 0)
    weight = total[before] + kinds[before]
    unseen = weight == 0
    weight[unseen] = 1
    pairs = (found + kinds[before] * shares[here]) / weight
    pairs = np.where(unseen, shares[here], pairs)
    return Baselines(_loss(shares[here]), _loss(pairs))


def _loss(shares: np.ndarray) -> float:
    """Returns the mean nats of what had these shares; never -0.0."""
    return max(0.0, -float(np.log(shares).mean()))


def _pairs(
    ids: np.ndarray, ranges: Sequence[tuple[int, int]], most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns characters and those after them, int64 [n], of the starts."""
    firsts, seconds = [], []
    for start, stop in ranges:
        block = np.asarray(ids[start : min(stop, start + most // len(ranges))])
        firsts.append(block[:-1].astype(np.int64))
        seconds.append(block[1:].astype(np.int64))
    return np.concatenate(firsts), np.concatenate(seconds)
