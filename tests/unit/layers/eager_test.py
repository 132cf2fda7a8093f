"""Eager mode: a step is a row of operations, each of which costs some time."""

import collections

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from tensorflow.python.framework import op_callbacks

import kerasrnn.layers

BATCH, FEATURES, UNITS = 4, 3, 5


def operations_of(layer, inputs, mask):
    """How many operations the outputs and all gradients are made of."""
    counts = collections.Counter()

    def count(op_type, inputs, attrs, outputs, op_name=None, graph=None):
        counts[op_type] += 1

    op_callbacks.add_op_callback(count)
    try:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(inputs, mask=mask, training=True))
        tape.gradient(loss, layer.trainable_variables)
    finally:
        op_callbacks.remove_op_callback(count)
    return counts


class EagerTest(parameterized.TestCase):
    @parameterized.product(
        name=("LSTM", "GRU", "SimpleRNN"), masked=(False, True)
    )
    def test_a_time_step_has_no_more_operations_than_one_of_keras(
        self, name, masked
    ):
        totals = {}
        for module in (keras.layers, kerasrnn.layers):
            layer = getattr(module, name)(UNITS)
            counts = []
            for steps in (10, 30):
                inputs = tf.ones([BATCH, steps, FEATURES])
                mask = np.ones([BATCH, steps], bool) if masked else None
                layer(inputs)
                counts.append(operations_of(layer, inputs, mask).total())
            totals[module] = (counts[1] - counts[0]) / 20
        self.assertGreater(totals[kerasrnn.layers], 5)
        self.assertLessEqual(totals[kerasrnn.layers], totals[keras.layers])


if __name__ == "__main__":
    absltest.main()
