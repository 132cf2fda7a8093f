"""What a call is given: features, of a number known or not."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.keras_parity import BATCH
from helpers.models.keras_parity import FEATURES
from helpers.models.keras_parity import KINDS
from helpers.models.keras_parity import UNITS
from helpers.models.keras_parity import ParityTestCase
from helpers.models.keras_parity import pair_of
from helpers.models.keras_parity import random_inputs


class FeaturesTest(ParityTestCase):
    @parameterized.product(
        kind=KINDS,
        training=(False, True),
        options=({}, {"activation": "relu"}, {"dropout": 0.5, "seed": 1}),
    )
    def test_of_unknown_size(self, kind, training, options):
        pair = pair_of(kind, **options)

        def run(layer):
            return tf.function(
                lambda inputs: layer(inputs, training=training),
                input_signature=[tf.TensorSpec([None, None, None])],
            )

        theirs, ours = (run(layer) for layer in pair)
        inputs = random_inputs()
        np.testing.assert_allclose(ours(inputs), theirs(inputs), atol=1e-6)
        with self.assertRaises(tf.errors.InvalidArgumentError):
            ours(inputs[:, :, 1:])

    @parameterized.parameters(*KINDS)
    def test_fit_to_a_generator(self, kind):
        specification = (
            tf.TensorSpec([None, None, None]),
            tf.TensorSpec([None, None]),
        )
        batches = tf.data.Dataset.from_generator(
            lambda: [(random_inputs(), np.ones([BATCH, UNITS]))] * 2,
            output_signature=specification,
        )
        losses = []
        for layer in pair_of(kind):
            model = keras.Sequential([keras.Input((None, FEATURES)), layer])
            model.compile("sgd", "mse")
            history = model.fit(batches, epochs=2, verbose=0)
            losses.append(history.history["loss"])
        np.testing.assert_allclose(*losses, rtol=1e-5)


if __name__ == "__main__":
    absltest.main()
