"""Sums over time and batch are not made in 16 bits.

TensorFlow adds 16-bit floats in 16 bits: from some hundred of them on each
further one is lost. So the gradients of all weights, which are such sums, are
compared with those in float32, where there are thousands of summands.
"""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn import layers

FEATURES, UNITS = 5, 4
# Of each way through the layers one; B * T is 3,200 in each.
CASES = (
    ("SimpleRNN", {}, 32, 100),
    ("SimpleRNN", {"activation": "sigmoid"}, 32, 100),
    ("SimpleRNN", {"unroll": True}, 800, 4),
    ("LSTM", {}, 32, 100),
    ("LSTM", {"activation": "sigmoid"}, 1600, 2),
    ("LSTM", {"recurrent_dropout": 0.01}, 32, 100),
    ("LSTM", {"implementation": 1, "dropout": 0.01}, 32, 100),
    ("GRU", {}, 32, 100),
    ("GRU", {"activation": "sigmoid"}, 1600, 2),
    ("GRU", {"reset_after": False}, 32, 100),
    ("GRU", {"unroll": True}, 1600, 2),
)


def _gradients(kind, dtype, options, batch, steps):
    layer = getattr(layers, kind)(
        UNITS, dtype=dtype, seed=1, return_sequences=True, **options
    )
    layer.build((batch, steps, FEATURES))
    random = np.random.default_rng(0)
    layer.set_weights(
        [
            random.normal(size=weight.shape, scale=0.4)
            for weight in layer.weights
        ]
    )
    inputs = random.normal(size=(batch, steps, FEATURES), loc=0.3)
    weights = [weight.value for weight in layer.trainable_weights]

    @tf.function(autograph=False)
    def differentiate(inputs):
        with tf.GradientTape() as tape:
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32))
        return tape.gradient(loss, weights)

    return differentiate(tf.constant(inputs, tf.float32))


class NarrowSumTest(parameterized.TestCase):
    @parameterized.parameters(*CASES)
    def test_gradients_of_a_layer(self, kind, options, batch, steps):
        exact = _gradients(kind, "float32", options, batch, steps)
        narrow = _gradients(kind, "mixed_bfloat16", options, batch, steps)
        for a, b in zip(exact, narrow, strict=True):
            error = tf.norm(b - a) / tf.norm(a)
            # Dropout draws other masks in another dtype.
            self.assertLess(error, 0.1 if "dropout" in str(options) else 0.04)


if __name__ == "__main__":
    absltest.main()
