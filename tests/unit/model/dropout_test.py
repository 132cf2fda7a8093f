"""Dropout is a function of seed, step, layer and stream, and is random."""

import itertools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kerasrnn.config import ModelConfig
from kerasrnn.model.dropout import dropout_rate
from kerasrnn.model.dropout import keyed_dropout
from kerasrnn.model.dropout import recurrent_kernel_factors

SHAPES = ((50, 25, 128), (7, 3, 6), (3, 2, 5), (4, 1, 1))  # [T, B, U]
KEYS = ((0, 0, 0), (1, 2, 3), (2**40, 2**33, 7))
RATE = 0.25


def _dropped(shape, key, layer=0, rate=RATE, **options):
    key = tf.constant(key, tf.int64)
    values = keyed_dropout(tf.ones(shape), rate, key, layer, **options)
    return values.numpy() == 0


class KeyedDropoutTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(shape=SHAPES, key=KEYS)
    def test_a_stream_alone_is_dropped_as_in_any_batch(self, shape, key):
        steps, batch, units = shape
        together = _dropped(shape, key)
        for stream in range(batch):
            alone = _dropped((steps, 1, units), np.add(key, [0, 0, stream]))
            self.assertAllEqual(alone[:, 0], together[:, stream])

    @parameterized.product(shape=SHAPES, key=KEYS)
    def test_compiled_and_of_unknown_shape_it_is_the_same(self, shape, key):
        expected = _dropped(shape, key)
        self.assertAllEqual(_dropped(shape, key, compiles=True), expected)

        @tf.function(
            input_signature=[tf.TensorSpec([None, None, shape[-1]])],
            autograph=False,
        )
        def drop(values):
            return keyed_dropout(values, RATE, tf.constant(key, tf.int64), 0)

        self.assertAllEqual(drop(tf.ones(shape)) == 0, expected)

    @parameterized.parameters(0.01, 0.1, 0.5, 0.9)
    def test_the_rate_is_kept_in_each_unit_and_the_mean_is_one(self, rate):
        shape = (100, 100, 32)
        values = keyed_dropout(
            tf.ones(shape), rate, tf.constant([3, 4, 5], tf.int64), 1
        ).numpy()
        deviation = np.sqrt(rate * (1 - rate) / 10_000)
        share = (values == 0).mean(axis=(0, 1))
        self.assertAllInRange(share - rate, -5 * deviation, 5 * deviation)
        kept = values[values > 0]
        self.assertAllClose(kept, np.full_like(kept, 1 / (1 - rate)), 1e-4)

    def test_no_two_places_are_dropped_together(self):
        """Neither units, nor steps, streams, layers, calls or seeds."""
        dropped = _dropped((40, 40, 64), (1, 2, 0)).astype(float) - RATE
        others = {
            "half a layer away": np.roll(dropped, 32, axis=2),
            "the next unit": np.roll(dropped, 1, axis=2),
            "the next time step": np.roll(dropped, 1, axis=0),
            "the next stream": np.roll(dropped, 1, axis=1),
        }
        for name, key, layer in (
            ("the next layer", (1, 2, 0), 1),
            ("the next call", (1, 3, 0), 0),
            ("the next seed", (2, 2, 0), 0),
            ("streams that follow", (1, 2, 40), 0),
        ):
            other = _dropped((40, 40, 64), key, layer)
            others[name] = other.astype(float) - RATE
        limit = 5 * RATE * (1 - RATE) / np.sqrt(dropped.size)
        for name, other in others.items():
            with self.subTest(name):
                self.assertLess(abs((dropped * other).mean()), limit)

    @parameterized.parameters(False, True)
    def test_the_gradient_is_what_was_kept(self, compiles):
        values = tf.random.stateless_normal((6, 4, 10), [1, 2])
        key = tf.constant([1, 2, 3], tf.int64)

        @tf.function(autograph=False)
        def gradient(values):
            with tf.GradientTape() as tape:
                tape.watch(values)
                dropped = keyed_dropout(values, RATE, key, 0, compiles=compiles)
                loss = tf.reduce_sum(dropped)
            return tape.gradient(loss, values), dropped

        slopes, dropped = gradient(values)
        self.assertAllClose(slopes * values, dropped)
        self.assertNotAllEqual(dropped, values)


class WarmupTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        (0, 0.0), (1, 0.01), (5, 0.05), (40, 0.4), (50, 0.5), (2**33, 0.5)
    )
    def test_the_rate_rises_to_its_value(self, step, expected):
        key = tf.constant([1, step, 3], tf.int64)
        self.assertAllClose(dropout_rate(0.5, 50, key), expected)
        self.assertEqual(dropout_rate(0.5, 0, key), 0.5)

    @parameterized.product(step=(0, 1, 7, 9, 20), compiles=(False, True))
    def test_a_rate_of_the_step_drops_as_the_same_number(self, step, compiles):
        key = tf.constant([1, step, 3], tf.int64)
        values = tf.random.stateless_normal((20, 8, 48), [1, 2])
        rate = dropout_rate(0.5, 10, key)
        dropped = keyed_dropout(values, rate, key, 0, compiles)
        number = min(step / 10, 1) * 0.5
        self.assertAllEqual(dropped, keyed_dropout(values, number, key, 0))
        self.assertNear(np.mean(dropped == 0), number, 0.03)

    def test_recurrent_kernels(self):
        options = {"vocabulary_size": 5, "units": 48}

        def factors(rate, warmup_steps):
            config = ModelConfig(
                **options,
                recurrent_kernel_dropout=rate,
                dropout_warmup_steps=warmup_steps,
            )
            key = tf.constant([1, 6, 3], tf.int64)
            found = recurrent_kernel_factors(config, key)
            return [factor for factor in found if factor is not None]

        self.assertAllEqual(factors(0.5, 10), factors(0.3, 0))
        self.assertNotAllEqual(factors(0.5, 10), factors(0.5, 0))


class RecurrentKernelFactorsTest(tf.test.TestCase, parameterized.TestCase):
    def _dropped(self, key, units=48, layer=0, rate=RATE, **options):
        config = ModelConfig(
            vocabulary_size=5, units=units, recurrent_kernel_dropout=rate
        )
        key = tf.constant(key, tf.int64)
        factors = recurrent_kernel_factors(config, key, **options)
        factor = [f.numpy() for f in factors if f is not None][layer]
        self.assertEqual(factor.shape, (units, 4 * units))
        kept = factor[factor != 0]
        self.assertAllClose(kept * (1 - rate), np.ones_like(kept), rtol=1e-4)
        return factor == 0

    @parameterized.product(key=KEYS, units=(1, 3, 48))
    def test_streams_and_compiling_do_not_matter(self, key, units):
        expected = self._dropped(key, units)
        for stream in (0, 5, 2**40):
            other = self._dropped((*key[:2], stream), units)
            self.assertAllEqual(other, expected)
        self.assertAllEqual(self._dropped(key, units, compiles=True), expected)

    def test_others_are_dropped_by_seed_step_and_layer(self):
        draws = [
            self._dropped((1, 2, 0)),
            self._dropped((2, 2, 0)),
            self._dropped((1, 3, 0)),
            self._dropped((1, 2, 0), layer=1),
        ]
        # As are the outputs of the streams that a batch may have.
        draws += [
            _dropped((1, 48, 192), (1, 2, stream))[0]
            for stream in (0, 48, 2**20)
        ]
        # Nor do a kernel's rows, columns and gates follow one another.
        first = draws[0]
        draws += [np.roll(first, 1, axis) for axis in (0, 1)]
        draws += [np.roll(first, 48, axis=1), np.roll(first, 96, axis=1)]
        expected = RATE**2 + (1 - RATE) ** 2
        spread = (expected * (1 - expected) / first.size) ** 0.5
        for one, other in itertools.combinations(draws, 2):
            agreement = np.mean(one == other)
            self.assertNear(agreement, expected, 5 * spread)

    @parameterized.parameters(0.1, 0.5, 0.9)
    def test_rate(self, rate):
        dropped = self._dropped((3, 4, 0), rate=rate)
        spread = (rate * (1 - rate) / dropped.size) ** 0.5
        self.assertNear(dropped.mean(), rate, 5 * spread)


if __name__ == "__main__":
    tf.test.main()
