"""Ids to batches, each a pure function of the step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.joined_ranges import JoinedRanges


class Batch(NamedTuple):
    """What a step reads and what it should have predicted.

    Attributes:
        inputs: Ids, int32 [B, T].
        targets: The id after each input, int32 [B, T].
    """

    inputs: np.ndarray
    targets: np.ndarray


class TextDataset:
    """Contiguous streams of text, cut into batches.

    Row b of batch k + 1 continues where row b of batch k stopped, so a
    recurrent state can be carried from batch to batch. After
    `steps_per_epoch` batches the streams start again. Nothing is shuffled
    and nothing is remembered: any step can be the first.

    If there is one range per stream and all have the same length, each range
    is a stream, as in char-rnn. Otherwise the ranges are joined and cut into
    `batch_size` equal streams. The target of a range's last character is the
    character that follows it in the text, if there is one.

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
        )
        self.steps_per_epoch = steps
        self._stream_starts = starts  # [B]
        self._ranges = JoinedRanges(bounds)

    def batch(self, step: int) -> Batch:
        """Returns batch number `step` of training, [B, T]."""
        batches = self.batches(step, 1)
        return Batch(batches.inputs[0], batches.targets[0])

    def batches(self, step: int, count: int) -> Batch:
        """Returns batches step, ..., step + count - 1, [N, B, T]."""
        in_epoch = np.arange(step, step + count) % self.steps_per_epoch
        positions = (
            in_epoch[:, None, None] * self.sequence_length
            + self._stream_starts[:, None]
            + np.arange(self.sequence_length + 1)
        )  # [N, B, T + 1]
        ids = self._ids[self._ranges.in_text(positions)].astype(np.int32)
        inputs, targets = ids[..., :-1], ids[..., 1:]
        if self._documents:
            first = np.isin(positions, self._ranges.starts)  # [N, B, T + 1]
            targets = np.where(first[..., 1:], 0, targets)
            first[in_epoch == 0, :, 0] = True
            inputs = np.where(first[..., :-1], ~inputs, inputs)
        return Batch(inputs, targets)


def training_dataset(corpus: Corpus, config: Config) -> TextDataset:
    """Returns what a training reads: its split, in its batches.

    Args:
        corpus: The encoded text.
        config: What is trained, and how.

    Raises:
        UserError: The text is too short.
    """
    training = config.training
    return TextDataset(
        corpus.ids,
        corpus.split_ranges("train", training.sequence_length),
        training.batch_size,
        training.sequence_length,
        documents=bool(config.model.separator_id),
    )


def _layout(
    num_ids: int, ranges: np.ndarray, batch_size: int, sequence_length: int
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
    if len(ranges) == batch_size:
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
