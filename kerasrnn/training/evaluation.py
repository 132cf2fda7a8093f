"""Loss of a text, in constant memory: states carried, dropout off.

Shapes: S streams, T characters of a stream in one batch, N batches a call,
P weights.
"""

import time
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.layers.parallel import in_parts
from kerasrnn.model import sequence_logits
from kerasrnn.model import state_sizes
from kerasrnn.training import metrics
from kerasrnn.training.pace import Pace
from kerasrnn.training.units import Evaluation
from kerasrnn.training.weights import Layout


class Evaluator:
    """Evaluates weights of one model, again and again.

    Args:
        config: The model's configuration.
        layout: Where each weight stands in the flat vector.
        sequence_length: T; no result depends on it.
    """

    def __init__(
        self, config: ModelConfig, layout: Layout, sequence_length: int
    ):
        self._config = config
        self._layout = layout
        self._sequence_length = sequence_length
        self._run = tf.function(
            self._run_batches, reduce_retracing=True, autograph=False
        )

    def __call__(
        self,
        weights,
        ids: np.ndarray,
        ranges: Sequence[tuple[int, int]],
        streams: int,
        start_id: int | None = None,
        between_calls: Callable[[float], None] = lambda share: None,
    ) -> Evaluation:
        """Returns the loss of the ranges of a text.

        The ranges are the streams if there are as many; else they are
        joined and cut into equal streams. Each stream starts from the zero
        state. Without `start_id` its first character is only read; with it,
        that character is read first and all characters are scored.

        Args:
            weights: Float32 tensor [P].
            ids: Integers [length], held in memory or mapped.
            ranges: (start, stop) of the parts to score.
            streams: Streams to read side by side.
            start_id: None, or the character to read first.
            between_calls: Called between calls of a second or so with the
                share that is done; what it raises ends the evaluation.

        Raises:
            UserError: There is nothing to score.
        """
        states = [
            tf.zeros([streams, size]) for size in state_sizes(self._config)
        ]
        documents = bool(self._config.separator_id)
        text = _Streams(ids, ranges, streams, start_id, documents)
        batches = -(-text.length // self._sequence_length)
        pace, position, nats, characters = Pace(), 0, 0.0, 0
        while position < batches:
            count = min(pace.count, batches - position)
            inputs, targets = text.batches(
                position, count, self._sequence_length
            )
            started = time.monotonic()
            states, batch_nats, batch_characters = self._run(
                weights, tf.constant(inputs), tf.constant(targets), states
            )
            nats += float(batch_nats.numpy().sum(dtype=np.float64))
            characters += int(batch_characters.numpy().sum(dtype=np.float64))
            pace.update(count, time.monotonic() - started)
            position += count
            between_calls(position / batches)
        if not characters:
            raise UserError(
                "There is no character to score: the text is too short, or "
                "the model knows none of its characters."
            )
        return Evaluation(nats, characters)

    def _run_batches(self, weights, inputs, targets, states):
        count = tf.shape(inputs)[0]
        weights = self._layout.split(weights)

        def part(batched):
            inputs, targets, states = batched
            logits, states = sequence_logits(
                self._config, weights, inputs, states, differentiable=False
            )
            return *metrics.sequence_loss(logits, targets), states

        def body(index, states, *arrays):
            batched = (inputs[index], targets[index], states)
            *sums, parts_states = zip(*in_parts(part, batched), strict=True)
            states = [
                tf.ensure_shape(tf.concat(parts, axis=0), state.shape)
                for state, *parts in zip(states, *parts_states, strict=True)
            ]
            arrays = [
                array.write(index, tf.add_n(values))
                for array, values in zip(arrays, sums, strict=True)
            ]
            return index + 1, states, *arrays

        arrays = [tf.TensorArray(tf.float32, size=count) for _ in range(2)]
        _, states, nats, characters = tf.while_loop(
            lambda index, *_: index < count,
            body,
            (0, list(states), *arrays),
            parallel_iterations=1,
        )
        return states, nats.stack(), characters.stack()


class _Streams:
    """The text to score as S rows, each padded with id 0 at its end.

    Of documents, the first character of a range that is joined to another
    is read from the zero state and not scored (see `TextDataset`).
    """

    def __init__(self, ids, ranges, streams, start_id, documents):
        bounds = np.asarray(ranges, np.int64).reshape(-1, 2)
        lengths = bounds[:, 1] - bounds[:, 0]
        total = int(lengths.sum())
        self._ids = ids
        self._start_id = start_id
        self._range_starts = bounds[:, 0]
        self._joined_stops = np.cumsum(lengths)
        self._joined_starts = np.append(0, self._joined_stops[:-1])
        self._documents = documents
        if len(bounds) == streams:
            edges = np.append(0, self._joined_stops)
        else:
            edges = np.arange(streams + 1) * total // streams
        self._starts, self._stops = edges[:-1], edges[1:]
        longest = int((self._stops - self._starts).max(initial=0))
        # Inputs of a row: all of its characters but the last, after the
        # start character if there is one.
        self.length = longest if start_id is not None else longest - 1

    def batches(self, first, count, sequence_length):
        """Returns inputs and targets, int32 [N, S, T]."""
        offset = 0 if self._start_id is None else -1
        places = np.arange(
            first * sequence_length, (first + count) * sequence_length + 1
        )
        positions = self._starts[:, None] + places + offset  # [S, N * T + 1]
        inside = positions < self._stops[:, None]
        inside &= positions >= self._starts[:, None]
        ids = np.zeros(positions.shape, np.int32)
        ids[inside] = self._ids[self._in_text(positions[inside])]
        if first == 0 and offset:
            ids[:, 0] = self._start_id
        inputs, targets = ids[:, :-1], ids[:, 1:]
        if self._documents:
            joined = inside & np.isin(positions, self._joined_starts)
            joined &= positions != self._starts[:, None]
            targets = np.where(joined[:, 1:], 0, targets)
            inputs = np.where(joined[:, :-1], ~inputs, inputs)
        shape = (len(ids), count, sequence_length)
        return tuple(
            np.ascontiguousarray(row.reshape(shape).transpose(1, 0, 2))
            for row in (inputs, targets)
        )

    def _in_text(self, positions):
        index = np.searchsorted(self._joined_stops, positions, side="right")
        return positions + (self._range_starts - self._joined_starts)[index]


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
