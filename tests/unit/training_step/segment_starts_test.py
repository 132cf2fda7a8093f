"""Tests of a training step in which rows begin anew."""

import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models

from kerasrnn.model.weights import state_sizes
from kerasrnn.recurrence.engine import PLAIN
from kerasrnn.training.step.flat_weights import layout
from kerasrnn.training.step.gradients import loss_gradient
from kerasrnn.training.step.gradients import make_loss_gradient

B, T = 6, 7


def example(cell, **options):
    """Returns a configuration, and the arguments of its loss's gradient."""
    config = dataclasses.replace(
        small_models.make_config(
            small_models.make_vocabulary("characters"), cell=cell, units=5
        ),
        **options,
    )
    weights = small_models.random_weights(config)
    flat = tf.constant(np.concatenate([w.ravel() for w in weights]))
    draws = np.random.default_rng(2)
    inputs, targets = draws.integers(
        1, config.vocabulary_size, (2, B, T), dtype=np.int32
    )
    states = [
        draws.normal(size=(B, config.units)).astype(np.float32)
        for _ in state_sizes(config)
    ]
    return config, flat, inputs, targets, states, tf.zeros([3], tf.int64)


class SegmentStartsTest(parameterized.TestCase):
    @parameterized.product(
        cell=["lstm", "gru", "simple_rnn"], jit_compile=["off", "auto", "on"]
    )
    def test_a_marked_row_is_read_from_the_zero_state(self, cell, jit_compile):
        config, flat, inputs, targets, states, key = example(cell, dropout=0.2)
        rows = [0, 3, 4]
        marked = inputs.copy()
        marked[rows, 0] = ~marked[rows, 0]
        zeroed = [state.copy() for state in states]
        for state in zeroed:
            state[rows] = 0
        run = tf.function(
            make_loss_gradient(config, layout(config), jit_compile),
            autograph=False,
        )
        actual = run(flat, marked, targets, states, key)
        expected = run(flat, inputs, targets, zeroed, key)
        others = run(flat, inputs, targets, states, key)
        for one, other in zip(
            tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        self.assertNotAllClose(actual[2], others[2])

    def test_nothing_of_an_earlier_state_is_left(self):
        config, flat, inputs, targets, states, key = example("lstm")
        marked = inputs.copy()
        marked[:, 0] = ~marked[:, 0]
        results = [
            loss_gradient(
                config,
                layout(config),
                flat,
                tf.constant(marked),
                tf.constant(targets),
                [tf.constant(state * factor) for state in states],
                key,
                engine=PLAIN,
            )
            for factor in (1.0, np.float32("nan"))
        ]
        np.testing.assert_array_equal(results[0][2], results[1][2])

    def assertNotAllClose(self, one, other):
        """Checks that a mark makes a difference at all."""
        self.assertGreater(np.abs(one - other).max(), 1e-4)


if __name__ == "__main__":
    absltest.main()
