"""Segments of a text, in another order each epoch."""

import dataclasses
import functools

import numpy as np

from kerasrnn.text.batches.beginnings import Beginnings
from kerasrnn.text.batches.joined_ranges import JoinedRanges


@dataclasses.dataclass(frozen=True)
class Shuffling:
    """How a text is shuffled.

    Attributes:
        segment_length: Characters that a stream reads in order; at least a
            batch's, and so that segments fill the epoch.
        seed: Of the order.
        beginnings: Where pieces of the text begin.
    """

    segment_length: int
    seed: int
    beginnings: Beginnings


class SegmentOrder:
    """Which segments of a text are read when; each is a pure function.

    An epoch is divided into rounds, in each of which every stream reads one
    segment. Segments cover the text, from another offset each epoch; every
    second one, drawn at random, begins a little earlier instead: with a line,
    a paragraph or a document (see `Beginnings`). A segment is read from the
    zero state, so a model learns to begin with one, and to begin anywhere.
    (Melis, Dyer and Blunsom, "On the State of the Art of Evaluation in Neural
    Language Models", 2018, reset states with a small probability.)

    Args:
        shuffling: How the text is shuffled.
        ranges: The parts of the text, joined.
        streams: Segments in a round.
        steps: Batches that the text fills.
        sequence_length: Characters of a segment in one batch.

    Attributes:
        steps_per_round: Batches of a segment.
        rounds: Rounds of an epoch.
    """

    def __init__(
        self,
        shuffling: Shuffling,
        ranges: JoinedRanges,
        streams: int,
        steps: int,
        sequence_length: int,
    ):
        self._shuffling = shuffling
        self._ranges = ranges
        self._streams = streams
        wanted = max(round(shuffling.segment_length / sequence_length), 1)
        self.steps_per_round = _divisor(steps, wanted)
        self.rounds = steps // self.steps_per_round
        self._length = self.steps_per_round * sequence_length
        self._order = functools.lru_cache(maxsize=2)(self._order_of)
        self._starts = functools.lru_cache(maxsize=4)(self._starts_of)

    def starts(self, epoch: int, number: int) -> np.ndarray:
        """Returns where the segments of a round start.

        Args:
            epoch: Number of the epoch.
            number: Of the round in it.

        Returns:
            Positions in the joined ranges, int64 [streams].
        """
        return self._starts(epoch, number)

    def _order_of(self, epoch: int) -> tuple[int, np.ndarray, np.ndarray]:
        """Returns an epoch's offset, its segments and which of them to move."""
        # NumPy promises that these bits stay the same, but not that what it
        # draws from them does.
        segments = self.rounds * self._streams
        bits = np.random.Philox(key=[self._shuffling.seed, epoch])
        drawn = bits.random_raw(2 * segments + 1)
        order = np.argsort(drawn[:segments], kind="stable")
        moved = drawn[segments:-1] % np.uint64(2) == 0
        return int(drawn[-1]) % self._ranges.length, order, moved

    def _starts_of(self, epoch: int, number: int) -> np.ndarray:
        offset, order, moved = self._order(epoch)
        picked = order[number * self._streams :][: self._streams]
        starts = (offset + picked * self._length) % self._ranges.length
        for row, segment in enumerate(picked):
            if moved[segment]:
                starts[row] = self._beginning(int(starts[row]))
        return starts

    def _beginning(self, position: int) -> int:
        """Returns the last beginning up to a position of the same range."""
        there = int(self._ranges.in_text(np.asarray([position]))[0])
        back = there - self._shuffling.beginnings.last_before(there)
        if position - back < self._ranges.range_start(position):
            return position
        return position - back


def _divisor(steps: int, wanted: int) -> int:
    """Returns what divides steps best of the numbers around the wanted one."""
    candidates = range(max(3 * wanted // 4, 1), 3 * wanted // 2 + 1)
    return min(
        (k for k in candidates if k <= steps),
        key=lambda k: (steps % k, abs(k - wanted)),
        default=steps,
    )
