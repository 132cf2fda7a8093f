"""A text cut into streams to score side by side (no TensorFlow).

Shapes: S streams, T characters of a stream in one batch, N batches a call.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.text.batches.joined_ranges import JoinedRanges
from kerasrnn.text.splits import characters_in

# A sample's contexts are at most one part in so many of what is read.
_PARTS_PER_CONTEXT = 4


class Streams:
    """The text to score as S rows, each padded with id 0 at its end.

    With a context, each row begins with that many of the characters before
    its own, as far as the text has them; they are read and not scored.

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
        context: int = 0,
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
        lengths = self._stops - self._starts
        # Where each row begins in the text, and how much is read before it.
        self._firsts = np.zeros(streams, np.int64)
        filled = lengths > 0
        self._firsts[filled] = self._ranges.in_text(self._starts[filled])
        self._context = np.minimum(self._firsts, context)
        self.contexts: np.ndarray = self._context[filled]
        """Characters that are read before each row that is not empty."""
        longest = int((lengths + self._context).max(initial=0))
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
        own = places - self._context[:, None]  # [S, N * T + 1]
        positions = self._starts[:, None] + own + offset
        inside = positions < self._stops[:, None]
        inside &= positions >= self._starts[:, None]
        ids = np.zeros(positions.shape, np.int32)
        ids[inside] = self._ids[self._ranges.in_text(positions[inside])]
        if first == 0 and self._start_id is not None:
            ids[:, 0] = self._start_id
        targets = ids[:, 1:].copy()
        before = own < 0
        in_text = (self._firsts[:, None] + own)[before]
        ids[before] = self._ids[in_text]
        inputs = ids[:, :-1]
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
    return characters_in(ranges) > 1


def number_of_streams(
    ranges: Sequence[tuple[int, int]],
    batch_size: int,
    sequence_length: int,
    context: int = 0,
) -> int:
    """Returns into how many streams a split is cut to be evaluated.

    As many as in training, unless that makes them shorter than a training
    sequence: each starts from the zero state, which costs some loss. Nor
    shorter than their context, which costs time.
    """
    if len(ranges) == batch_size:
        return batch_size
    total = characters_in(ranges)
    return max(1, min(batch_size, total // max(sequence_length, context)))


def _streams_to_validate(
    ranges: Sequence[tuple[int, int]], training: TrainingConfig
) -> int:
    return number_of_streams(
        ranges,
        training.batch_size,
        training.sequence_length,
        training.validation_context,
    )


def characters_to_validate(
    ranges: Sequence[tuple[int, int]], training: TrainingConfig
) -> int:
    """Returns how many characters are read to validate on all of a split.

    Contexts and padding, which take as long as any other, are included.

    Args:
        ranges: (start, stop) of the split's parts.
        training: How they are read.
    """
    streams = _streams_to_validate(ranges, training)
    longest = -(-characters_in(ranges) // streams)
    if len(ranges) == streams:
        longest = max(stop - start for start, stop in ranges)
    inputs = longest + training.validation_context - 1
    batches = -(-inputs // training.sequence_length)
    return streams * batches * training.sequence_length


class Sample(NamedTuple):
    """The start of each of some equal pieces of a split.

    Attributes:
        streams: How many pieces there are.
        most: Characters of all these starts, their contexts not included; 0
            is all of the split.
    """

    streams: int
    most: int


def sample_of(
    ranges: Sequence[tuple[int, int]], training: TrainingConfig, most: int
) -> Sample:
    """Returns what to read of a split to validate on it.

    Args:
        ranges: (start, stop) of the split's parts.
        training: How they are read.
        most: Characters that may be read, contexts and padding included; at
            least four batches and two contexts. 0 reads all.
    """
    streams = _streams_to_validate(ranges, training)
    if not most:
        return Sample(streams, 0)
    context, multiple = training.validation_context, training.sequence_length
    if context:
        fitting = most // (_PARTS_PER_CONTEXT * context)
        streams = max(1, min(streams, fitting))
    length = most // streams // multiple * multiple
    # A run of an older version may have decided on less.
    return Sample(streams, streams * max(length - context, multiple))


def nothing_to_score() -> UserError:
    """Returns the error of a text without a character to score."""
    return UserError(
        "There is no character to score: the text is too short, or the model "
        "knows none of its characters."
    )
