"""A long sequence that is read in stretches is read as one."""

import itertools
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from helpers.full_counts import FULL

import kerasrnn.layers
from kerasrnn.config import ModelConfig
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.weights import state_sizes
from kerasrnn.recurrence import time_chunks
from kerasrnn.recurrence.engine import COMPILED_LOOPS
from kerasrnn.recurrence.engine import COMPILED_STEPS
from kerasrnn.recurrence.engine import PLAIN
from kerasrnn.recurrence.time_chunks import MIN_NUMBERS
from kerasrnn.recurrence.time_chunks import stretches
from kerasrnn.training.step.flat_weights import initial_weights

BATCH, STEPS, FEATURES, UNITS = 32, 301, 5, 24
LAYERS = ("SimpleRNN", "LSTM", "GRU")
CELLS = ("simple_rnn", "lstm", "gru")


def _short(rows, *turns):
    """Every row, or in the short form those with these numbers."""
    rows = list(rows)
    return rows if FULL else [rows[turn] for turn in turns]


def _random(*shape):
    generator = np.random.default_rng(sum(shape))
    return generator.normal(size=shape).astype("float32")


def _mask(kind):
    if kind == "none":
        return None
    generator = np.random.default_rng(7)
    if kind == "anywhere":
        return generator.random((BATCH, STEPS)) < 0.8
    lengths = generator.integers(1, STEPS + 1, [BATCH, 1])
    return np.arange(STEPS) < lengths


class StretchesTest(tf.test.TestCase, parameterized.TestCase):
    def cut_small_ones(self):
        """Has what follows read in stretches, though it is small."""
        self.enter_context(mock.patch.object(time_chunks, "MIN_NUMBERS", 1))

    @parameterized.parameters(1, 124, 125, 249, 250, 257, 301, 997, 2003)
    def test_every_step_is_read_once_and_in_order(self, steps):
        values = tf.range(steps)[:, None]
        pieces = stretches(values, None, -values, width=MIN_NUMBERS)
        self.assertAllEqual(tf.concat([p[0] for p in pieces], 0), values)
        self.assertAllEqual(tf.concat([p[2] for p in pieces], 0), -values)
        self.assertTrue(all(nothing is None for _, nothing, _ in pieces))
        self.assertLen(pieces, min(8, max(1, steps // 125)))
        lengths = [len(piece) for piece, *_ in pieces]
        self.assertLessEqual(max(lengths) - min(lengths), 1)

    @parameterized.parameters(
        (250, 2), (256, 2), (300, 2), (500, 4), (512, 4), (784, 4),
        (1000, 8), (1024, 8), (1500, 6), (5000, 8),
    )  # fmt: skip
    def test_one_length_is_compiled_where_there_can_be_one(self, steps, count):
        values = tf.range(steps)[:, None]
        pieces = [p for (p,) in stretches(values, width=MIN_NUMBERS)]
        self.assertEqual([len(p) for p in pieces], [steps // count] * count)
        self.assertAllEqual(tf.concat(pieces, 0), values)

    @parameterized.parameters(
        (1000, 16, 192, 1), (1000, 25, 512, 2), (300, 25, 512, 1),
        (1000, 32, 2048, 8), (500, 32, 2048, 4), (1000, 1, 2048, 1),
        (1000, None, 192, 1), (1000, None, 2048, 8), (None, 64, 2048, 1),
    )  # fmt: skip
    def test_what_is_small_is_one(self, steps, rows, width, count):
        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([steps, rows, 3])],
        )
        def count_of(values):
            return len(stretches(values, width=width))

        values = tf.zeros([steps or 1000, rows or 16, 3])
        self.assertEqual(int(count_of(values)), count)

    # In the short form each layer with a mask of no order and one other row.
    @parameterized.parameters(
        *_short(
            itertools.product(LAYERS, ("right padded", "none", "anywhere")),
            *(0, 2, 4, 5, 6, 8),
        )
    )
    def test_layers_give_what_those_of_keras_give(self, name, mask):
        self.cut_small_ones()
        options = {"return_sequences": True, "return_state": True}
        theirs = getattr(keras.layers, name)(UNITS, **options)
        ours = getattr(kerasrnn.layers, name)(UNITS, **options)
        inputs = _random(BATCH, STEPS, FEATURES)
        theirs.build(inputs.shape)
        ours.build(inputs.shape)
        ours.set_weights(theirs.get_weights())
        states = [
            _random(BATCH, UNITS) for _ in range(2 if name == "LSTM" else 1)
        ]
        upstream = _random(BATCH, STEPS, UNITS) / STEPS
        expected = _results(theirs, inputs, _mask(mask), states, upstream)
        results = _results(ours, inputs, _mask(mask), states, upstream)
        for result, wanted in zip(results, expected, strict=True):
            scale = np.abs(wanted).max()
            self.assertAllClose(result, wanted, atol=1e-4 * scale, rtol=0)

    @parameterized.parameters(
        *_short(
            itertools.product(CELLS, (COMPILED_LOOPS, COMPILED_STEPS)),
            *(0, 3, 4),
        )
    )
    def test_a_model_of_documents_gives_what_the_plain_loop_gives(
        self, cell, engine
    ):
        self.cut_small_ones()
        config = ModelConfig(
            vocabulary_size=11,
            cell=cell,
            units=UNITS,
            dropout=0.2,
            separator_id=3,
        )
        layout, flat = initial_weights(config, seed=1)
        generator = np.random.default_rng(2)
        tokens = generator.integers(0, 11, (BATCH, STEPS)).astype("int32")
        states = [_random(BATCH, size) for size in state_sizes(config)]

        @tf.function(autograph=False)
        def results(engine):
            with tf.GradientTape() as tape:
                weights = tf.identity(flat)
                tape.watch(weights)
                logits, final = sequence_logits(
                    config,
                    layout.split(weights),
                    tf.constant(tokens),
                    [tf.constant(state) for state in states],
                    dropout_key=tf.constant([1, 2, 3], tf.int64),
                    engine=engine,
                )
                logits = logits[:, :, 1:]  # that of the unknown is -1e9
                loss = tf.reduce_mean(tf.square(logits))
            return [logits, *final, tape.gradient(loss, weights)]

        expected = results(PLAIN)
        for result, wanted in zip(results(engine), expected, strict=True):
            scale = np.abs(wanted).max()
            self.assertAllClose(result, wanted, atol=1e-4 * scale, rtol=0)


def _results(layer, inputs, mask, states, upstream):
    """Outputs, final states and all derivatives of a training step."""

    @tf.function(autograph=False)
    def results(inputs, states):
        sources = [inputs, *states]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs, *final = layer(
                inputs, mask=mask, initial_state=states, training=True
            )
            loss = tf.reduce_sum(outputs * upstream)
            for state in final:
                loss += tf.reduce_mean(tf.square(state))
        sources += [variable.value for variable in layer.trainable_variables]
        return [outputs, *final, *tape.gradient(loss, sources)]

    return results(tf.constant(inputs), [tf.constant(s) for s in states])


if __name__ == "__main__":
    tf.test.main()
