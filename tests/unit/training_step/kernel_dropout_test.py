"""The gradient of a step that drops elements of the recurrent kernels."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.config import CELLS
from kerasrnn.config import ModelConfig
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.dropout import multiplied
from kerasrnn.model.dropout import recurrent_kernel_factors
from kerasrnn.model.weights import state_sizes
from kerasrnn.training.step.cross_entropy import sequence_loss
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.gradients import make_loss_gradient

# Large enough for "auto" to compile loops and to cut the batch in parts.
B, T, V, UNITS = 64, 9, 11, 96
KEY = (3, 5, 0)


class KernelDropoutTest(parameterized.TestCase):
    @parameterized.product(cell=CELLS, jit_compile=("off", "on", "auto"))
    def test_gradient_is_that_of_the_dropped_weights(self, cell, jit_compile):
        config = ModelConfig(
            vocabulary_size=V,
            cell=cell,
            units=UNITS,
            dropout=0.0,
            recurrent_kernel_dropout=0.7,
            dropout_warmup_steps=9,
        )
        layout, flat = initial_weights(config, 1)
        draws = np.random.default_rng(0)
        inputs, targets = draws.integers(1, V, (2, B, T), dtype=np.int32)
        states = [tf.zeros([B, size]) for size in state_sizes(config)]
        flat, key = tf.constant(flat), tf.constant(KEY, tf.int64)
        with tf.GradientTape() as tape:
            tape.watch(flat)
            factors = recurrent_kernel_factors(config, key)
            weights = multiplied(layout.split(flat), factors)
            logits, _ = sequence_logits(config, weights, inputs, states)
            nats, _ = sequence_loss(logits, targets)
        expected = tape.gradient(nats, flat).numpy()

        run = tf.function(
            make_loss_gradient(config, layout, jit_compile), autograph=False
        )
        found_nats, _, gradient, _ = run(
            flat, tf.constant(inputs), tf.constant(targets), states, key
        )
        np.testing.assert_allclose(found_nats, nats, rtol=1e-5)
        np.testing.assert_allclose(
            gradient, expected, atol=1e-5 * np.abs(expected).max()
        )
        for factor, part in zip(factors, layout.split(gradient), strict=True):
            if factor is not None:
                dropped = factor.numpy() == 0
                np.testing.assert_array_equal(part.numpy()[dropped], 0)


if __name__ == "__main__":
    absltest.main()
