"""Ids to batches, each a pure function of the step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.text.batches.beginnings import Beginnings
from kerasrnn.text.batches.joined_ranges import JoinedRanges
from kerasrnn.text.batches.segments import SegmentOrder
from kerasrnn.text.batches.segments import Shuffling
from kerasrnn.text.corpus import Corpus


class Batch(NamedTuple):
    """What a step reads and what it should have predicted.

    Attributes:
        inputs: Ids, int32 [B, T].
        targets: The id after each input, int32 [B, T].
    """

    inputs: np.ndarray
    targets: np.ndarray


class TextDataset:
    """Streams of text, cut into batches.

    Row b of batch k + 1 continues where row b of batch k stopped, so a
    recurrent state can be carried from batch to batch. Any batch is a pure
    function of its number: nothing is remembered, any step can be the first.

    Read in order, a text is divided into `batch_size` streams, which start
    again after `steps_per_epoch` batches. If there is one range per stream
    and all have the same length, each range is a stream, as in char-rnn.
    Otherwise the ranges are joined and cut into equal streams. The target of
    a range's last character is the character that follows it in the text, if
    there is one.

    Shuffled, the joined ranges are divided into segments, and a row begins
    another one after each (see `SegmentOrder`). The first id of a segment is
    replaced by `~id`, which is read from the zero state. The end of the text
    is followed by its start, which it does not predict: that target is 0.

    Glossary of shapes:
      B: batch size. T: sequence length. N: batches asked for.

    Args:
        ids: Integers [length], held in memory or mapped.
        ranges: (start, stop) of the parts to read, in order.
        batch_size: Number of streams.
        sequence_length: Characters of each stream in one batch.
        documents: Whether documents are independent, so that no state may
            pass from one to the next. Then the first id of a stream and of a
            range is replaced by `~id`, which `CharRNN` reads from the zero
            state, and the target before a range that is joined to another
            is 0.
        shuffling: How the text is shuffled; None reads it in order.

    Attributes:
        batch_size: Number of streams.
        sequence_length: Characters of each stream in one batch.
        steps_per_epoch: Batches until the streams start again.

    Raises:
        UserError: The ranges do not fill one batch.
    """

    def __init__(
        self,
        ids: np.ndarray,
        ranges: Sequence[tuple[int, int]],
        batch_size: int,
        sequence_length: int,
        documents: bool = False,
        shuffling: Shuffling | None = None,
    ):
        self._documents = documents
        self.batch_size = batch_size
        self.sequence_length = sequence_length
        self._ids = ids
        steps, bounds, starts = _layout(
            len(ids),
            np.asarray(ranges, np.int64).reshape(-1, 2),
            batch_size,
            sequence_length,
            in_order=shuffling is None,
        )
        self._stream_starts = starts  # [B]
        self._ranges = JoinedRanges(bounds)
        self._order = None
        self._steps_per_round = self.steps_per_epoch = steps
        if shuffling is not None:
            self._order = SegmentOrder(
                shuffling,
                self._ranges,
                batch_size,
                steps,
                sequence_length,
            )
            self._steps_per_round = self._order.steps_per_round
            self.steps_per_epoch = self._order.rounds * self._steps_per_round

    def batch(self, step: int) -> Batch:
        """Returns batch number `step` of training, [B, T]."""
        batches = self.batches(step, 1)
        return Batch(batches.inputs[0], batches.targets[0])

    def batches(self, step: int, count: int) -> Batch:
        """Returns batches step, ..., step + count - 1, [N, B, T]."""
        shape = (count, self.batch_size, self.sequence_length)
        inputs, targets = np.empty(shape, np.int32), np.empty(shape, np.int32)
        done = 0
        while done < count:
            epoch, in_epoch = divmod(step + done, self.steps_per_epoch)
            number, first = divmod(in_epoch, self._steps_per_round)
            stop = min(done + self._steps_per_round - first, count)
            starts = self._stream_starts
            if self._order is not None:
                starts = self._order.starts(epoch, number)
            for row, start in enumerate(starts):
                inputs[done:stop, row], targets[done:stop, row] = self._read(
                    int(start), first, stop - done
                )
            done = stop
        return Batch(inputs, targets)

    def _read(
        self, start: int, first: int, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns batches first, ..., first + count - 1 of one stream.

        Args:
            start: Where the stream starts in the joined ranges.
            first: Number of the first batch in it.
            count: Number of batches.

        Returns:
            `(inputs [count, T], targets [count, T])`.
        """
        ids = np.empty(count * self.sequence_length + 1, np.int32)
        position = start + first * self.sequence_length
        joins = self._ranges.read(self._ids, position, ids)
        inputs, targets = ids[:-1].copy(), ids[1:]
        if not first and (self._documents or self._order is not None):
            inputs[0] = ~inputs[0]
        for index in joins:
            is_end = (position + index) % self._ranges.length == 0
            if index and (self._documents or is_end):
                targets[index - 1] = 0
            if self._documents and index < len(inputs) and inputs[index] >= 0:
                inputs[index] = ~inputs[index]
        shape = (count, self.sequence_length)
        return inputs.reshape(shape), targets.reshape(shape)


def training_dataset(corpus: Corpus, config: Config) -> TextDataset:
    """Returns what a run trains on: its split of the text, in batches.

    Args:
        corpus: The encoded text.
        config: What is trained, and how.

    Raises:
        UserError: The text is too short.
    """
    training = config.training
    documents = bool(config.model.separator_id)
    shuffling = None
    if training.segment_length:
        shuffling = Shuffling(
            training.segment_length,
            training.seed,
            Beginnings(corpus.ids, corpus.vocabulary.start_id, documents),
        )
    return TextDataset(
        corpus.ids,
        corpus.split_ranges("train", training.sequence_length),
        training.batch_size,
        training.sequence_length,
        documents,
        shuffling,
    )


def _layout(
    num_ids: int,
    ranges: np.ndarray,
    batch_size: int,
    sequence_length: int,
    in_order: bool,
) -> tuple[int, np.ndarray, np.ndarray]:
    """Returns steps, the ranges to join [R, 2] and the streams' starts [B].

    A stream's last target lies one beyond its inputs, hence the ranges are
    longer by one wherever the text continues and nothing is joined.
    """
    joined = ranges.copy()
    joined[-1:, 1] = np.minimum(joined[-1:, 1] + 1, num_ids)
    num_inputs = max(int((joined[:, 1] - joined[:, 0]).sum()) - 1, 0)
    steps = num_inputs // (batch_size * sequence_length)
    if not steps:
        raise _too_short(num_inputs, batch_size, sequence_length)
    if in_order and len(ranges) == batch_size:
        own = np.stack([ranges[:, 0], np.minimum(ranges[:, 1] + 1, num_ids)], 1)
        lengths = own[:, 1] - own[:, 0]
        if (int(lengths.min()) - 1) // sequence_length >= steps:
            return steps, own, np.cumsum(lengths) - lengths
    starts = np.arange(batch_size) * (steps * sequence_length)
    return steps, joined, starts


def _too_short(
    num_inputs: int, batch_size: int, sequence_length: int
) -> UserError:
    ways = []
    if num_inputs >= sequence_length:
        ways.append(f"--batch_size={num_inputs // sequence_length}")
    if num_inputs >= batch_size:
        ways.append(f"--sequence_length={num_inputs // batch_size}")
    fitting = f"at most {' or '.join(ways)} fits; else " if ways else ""
    return UserError(
        "The text, or this split of it, has "
        f"{counted(num_inputs, 'character')} to predict, but one batch of "
        f"batch_size {batch_size:,} times sequence_length "
        f"{sequence_length:,} needs "
        f"{batch_size * sequence_length:,}; "
        f"{fitting}give more text."
    )
