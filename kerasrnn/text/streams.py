"""A text cut into streams to score side by side (no TensorFlow).

Shapes: S streams, T characters of a stream in one batch, N batches a call.
"""

from collections.abc import Sequence

import numpy as np

from kerasrnn.errors import UserError
from kerasrnn.text.joined_ranges import JoinedRanges


class Streams:
    """The text to score as S rows, each padded with id 0 at its end.

    Of documents, the first character of a range that is joined to another
    is read from the zero state and not scored (see `TextDataset`).

    Of a sample of `most` characters in all there is the start of each row.
    """

    def __init__(
        self,
        ids: np.ndarray,
        ranges: Sequence[tuple[int, int]],
        streams: int,
        start_id: int | None,
        documents: bool,
        most: int = 0,
    ):
        bounds = np.asarray(ranges, np.int64).reshape(-1, 2)
        lengths = bounds[:, 1] - bounds[:, 0]
        total = int(lengths.sum())
        self._ids = ids
        self._start_id = start_id
        self._ranges = JoinedRanges(bounds)
        self._documents = documents
        if len(bounds) == streams:
            edges = np.append(0, self._ranges.stops)
        else:
            edges = np.arange(streams + 1) * total // streams
        self._starts, self._stops = edges[:-1], edges[1:]
        if most:
            per_stream = max(1, most // streams)
            self._stops = np.minimum(self._stops, self._starts + per_stream)
        longest = int((self._stops - self._starts).max(initial=0))
        # Inputs of a row: all of its characters but the last, after the
        # start character if there is one.
        self.length = longest if start_id is not None else longest - 1

    def batches(
        self, first: int, count: int, sequence_length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets, int32 [N, S, T]."""
        offset = 0 if self._start_id is None else -1
        places = np.arange(
            first * sequence_length, (first + count) * sequence_length + 1
        )
        positions = self._starts[:, None] + places + offset  # [S, N * T + 1]
        inside = positions < self._stops[:, None]
        inside &= positions >= self._starts[:, None]
        ids = np.zeros(positions.shape, np.int32)
        ids[inside] = self._ids[self._ranges.in_text(positions[inside])]
        if first == 0 and self._start_id is not None:
            ids[:, 0] = self._start_id
        inputs, targets = ids[:, :-1], ids[:, 1:]
        if self._documents:
            joined = inside & np.isin(positions, self._ranges.starts)
            joined &= positions != self._starts[:, None]
            targets = np.where(joined[:, 1:], 0, targets)
            inputs = np.where(joined[:, :-1], ~inputs, inputs)
        shape = (len(ids), count, sequence_length)
        inputs, targets = (
            np.ascontiguousarray(row.reshape(shape).transpose(1, 0, 2))
            for row in (inputs, targets)
        )
        return inputs, targets


def is_scorable(ranges: Sequence[tuple[int, int]]) -> bool:
    """Whether there is a character to score, and one to read before it."""
    return sum(stop - start for start, stop in ranges) > 1


def number_of_streams(
    ranges: Sequence[tuple[int, int]], batch_size: int, sequence_length: int
) -> int:
    """Returns into how many streams a split is cut to be evaluated.

    As many as in training, unless that makes them shorter than a training
    sequence: each starts from the zero state, which costs some loss.
    """
    if len(ranges) == batch_size:
        return batch_size
    total = sum(stop - start for start, stop in ranges)
    return max(1, min(batch_size, total // sequence_length))


def nothing_to_score() -> UserError:
    """Returns the error of a text without a character to score."""
    return UserError(
        "There is no character to score: the text is too short, or the model "
        "knows none of its characters."
    )
