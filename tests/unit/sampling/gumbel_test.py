"""The noise of draws: its distribution, and what it is a function of."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sampling.chi_square import check_chi_square

from kerasrnn.sampling.gumbel import gumbel_noise

INT64 = np.iinfo(np.int64)


class GumbelNoiseTest(parameterized.TestCase):
    def test_noise_is_gumbel_and_independent(self):
        noise = gumbel_noise(
            tf.constant([0, 1, INT64.min, INT64.max], tf.int64),
            tf.constant([0, 3, 2**40, 2**62], tf.int64),
            tf.constant(10_000),
            tf.constant(2),
        ).numpy()
        self.assertTrue(np.isfinite(noise).all())
        uniform = np.exp(-np.exp(-noise.astype(np.float64)))
        series = uniform.transpose(0, 2, 1).reshape(8, 10_000)
        for row in series:
            counts, _ = np.histogram(row, bins=50, range=(0, 1))
            check_chi_square(self, counts, np.full(50, 0.02))
            self.assertLess(abs(np.corrcoef(row[1:], row[:-1])[0, 1]), 0.05)
        self.assertLess(np.max(np.abs(np.corrcoef(series) - np.eye(8))), 0.05)

    @parameterized.parameters(1, 4, 7, 65)
    def test_draw_k_of_a_seed_is_a_function_of_both(self, size):
        seed = tf.constant([9, 9, 9], tf.int64)
        first = tf.constant([0, 5, 11], tf.int64)
        noise = gumbel_noise(seed, first, tf.constant(20), size).numpy()
        self.assertEqual(noise.shape, (3, 20, size))
        np.testing.assert_array_equal(noise[1, :15], noise[0, 5:])
        np.testing.assert_array_equal(noise[2, :9], noise[0, 11:])
        self.assertLen(np.unique(noise[0]), 20 * size)

    def test_neighbouring_seeds_are_independent(self):
        seeds = tf.range(2000, dtype=tf.int64)
        noise = tf.function(gumbel_noise, autograph=False)(
            seeds, tf.zeros_like(seeds), tf.constant(1), tf.constant(1)
        ).numpy()[:, 0, 0]
        uniform = np.exp(-np.exp(-noise.astype(np.float64)))
        counts, _ = np.histogram(uniform, bins=20, range=(0, 1))
        check_chi_square(self, counts, np.full(20, 0.05))
        self.assertLess(abs(np.corrcoef(uniform[1:], uniform[:-1])[0, 1]), 0.12)


if __name__ == "__main__":
    absltest.main()
