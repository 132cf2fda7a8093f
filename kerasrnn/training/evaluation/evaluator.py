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
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.weights import state_sizes
from kerasrnn.recurrence.batch_parts import parts
from kerasrnn.text.batches.streams import Streams
from kerasrnn.text.batches.streams import nothing_to_score
from kerasrnn.training.evaluation.loss_units import Evaluation
from kerasrnn.training.step import cross_entropy
from kerasrnn.training.step.flat_weights import Layout
from kerasrnn.training.step.steps_per_call import StepsPerCall


class Evaluator:
    """Evaluates weights of one model, as often as it is called.

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
        self._run = tf.function(self._run_batches, autograph=False)

    def __call__(
        self,
        weights: tf.Tensor,
        ids: np.ndarray,
        ranges: Sequence[tuple[int, int]],
        streams: int,
        start_id: int | None = None,
        most: int = 0,
        context: int = 0,
        between_calls: Callable[[float], None] = lambda share: None,
    ) -> Evaluation:
        """Returns the loss of the ranges of a text.

        The ranges are the streams if there are as many; otherwise they are
        joined and cut into equal streams. Each stream starts from the zero
        state: with the characters before it, its `context`, or with
        `start_id`; with neither its first character is only read.

        Args:
            weights: Float32 tensor [P].
            ids: Integers [length], held in memory or mapped.
            ranges: (start, stop) of the parts to score.
            streams: Streams to read side by side.
            start_id: None, or the character to read first.
            most: Characters to read in all, at least one a stream: the start
                of each stream; 0 reads all.
            context: Characters that each stream reads before its own, which
                are not scored, as far as the text has them.
            between_calls: Called about every second with the share that is
                done; what it raises ends the evaluation.

        Raises:
            UserError: There is nothing to score.
        """
        states = [
            tf.zeros([streams, size]) for size in state_sizes(self._config)
        ]
        documents = bool(self._config.separator_id)
        text = Streams(ids, ranges, streams, start_id, documents, most, context)
        batches = -(-text.length // self._sequence_length)
        run = self._run.get_concrete_function(*self._signature(streams))
        per_call, done, nats, characters = StepsPerCall(), 0, 0.0, 0
        while done < batches:
            count = min(per_call.count, batches - done)
            inputs, targets = text.batches(done, count, self._sequence_length)
            started = time.monotonic()
            states, batch_nats, batch_characters = run(
                weights, tf.constant(inputs), tf.constant(targets), states
            )
            nats += float(batch_nats.numpy().sum(dtype=np.float64))
            characters += int(batch_characters.numpy().sum(dtype=np.float64))
            per_call.update(count, time.monotonic() - started)
            done += count
            between_calls(done / batches)
        if not characters:
            raise nothing_to_score()
        return Evaluation(nats, characters)

    def _signature(self, streams):
        """One trace serves calls of any number of batches."""
        batches = [None, streams, self._sequence_length]
        return (
            tf.TensorSpec([self._layout.size]),
            tf.TensorSpec(batches, tf.int32),
            tf.TensorSpec(batches, tf.int32),
            [
                tf.TensorSpec([streams, size])
                for size in state_sizes(self._config)
            ],
        )

    def _run_batches(self, weights, inputs, targets, states):
        count = tf.shape(inputs)[0]
        weights = self._layout.split(weights)

        def part(batched):
            inputs, targets, states = batched
            logits, states = sequence_logits(
                self._config, weights, inputs, states, differentiable=False
            )
            return *cross_entropy.sequence_loss(logits, targets), states

        def body(index, states, *arrays):
            batched = (inputs[index], targets[index], states)
            *sums, ends = zip(*map(part, parts(batched)), strict=True)
            states = [
                tf.ensure_shape(tf.concat(pieces, axis=0), state.shape)
                for state, *pieces in zip(states, *ends, strict=True)
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
