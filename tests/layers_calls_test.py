"""Our layers and cells are called as Keras' are: names, ranks, graphs.

What Keras leaves to broadcasting counts, too: each shape of a state and of a
mask that Keras' layer takes is taken, with the same result.
"""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn import layers

BATCH, STEPS, FEATURES, UNITS = 4, 3, 5, 2
KINDS = ("SimpleRNN", "LSTM", "GRU")


def _random(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return tf.constant(values, tf.float32)


def _num_states(kind):
    return 2 if kind == "LSTM" else 1


def _pair(kind, shape=(BATCH, STEPS, FEATURES), **options):
    """Returns Keras' object and ours, built, with the same weights."""
    pair = [getattr(m, kind)(UNITS, **options) for m in (keras.layers, layers)]
    for layer in pair:
        layer.build(shape)
    weights = [
        _random(*weight.shape, seed=seed)
        for seed, weight in enumerate(pair[0].weights)
    ]
    for layer in pair:
        layer.set_weights(weights)
    return pair


class GraphTest(parameterized.TestCase):
    @parameterized.parameters(*KINDS)
    def test_below_a_transpose_that_is_not_known(self, kind):
        theirs, ours = _pair(kind)

        @tf.function
        def run(inputs, order):
            return ours(tf.ensure_shape(tf.transpose(inputs, order), shape))

        inputs = _random(STEPS, BATCH, FEATURES)
        shape = (BATCH, STEPS, FEATURES)
        np.testing.assert_allclose(
            run(inputs, tf.constant([1, 0, 2])),
            theirs(tf.transpose(inputs, [1, 0, 2])),
            atol=1e-6,
        )

    @parameterized.product(kind=KINDS, training=(False, True))
    def test_states_put_together_of_an_unknown_batch(self, kind, training):
        theirs, ours = _pair(kind)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, STEPS, FEATURES]),
                tf.TensorSpec([None, UNITS]),
            ]
        )
        def run(inputs, half):
            states = [tf.concat([half, half], axis=0)] * _num_states(kind)
            return ours(inputs, initial_state=states, training=training)

        inputs, half = _random(BATCH, STEPS, FEATURES), _random(2, UNITS)
        states = [tf.concat([half, half], axis=0)] * _num_states(kind)
        np.testing.assert_allclose(
            run(inputs, half), theirs(inputs, initial_state=states), atol=1e-6
        )

    @parameterized.product(
        kind=("LSTM", "GRU"),
        options=(
            {"recurrent_dropout": 0.5},
            {"recurrent_dropout": 0.5, "dropout": 0.5},
            {"implementation": 1, "dropout": 0.5},
        ),
    )
    def test_dropout_costs_nothing_outside_training(self, kind, options):
        def operations(options, training=False):
            (_, layer) = _pair(kind, seed=1, **options)
            function = tf.function(lambda x: layer(x, training=training))
            specification = tf.TensorSpec([BATCH, STEPS, FEATURES])
            graph = function.get_concrete_function(specification).graph
            (loop,) = (o for o in graph.get_operations() if "While" in o.type)
            return [value.dtype for value in loop.inputs]

        self.assertEqual(operations(options), operations({}))
        self.assertNotEqual(operations(options, True), operations({}, True))


if __name__ == "__main__":
    absltest.main()
