"""What a call is given: features, states and masks of any number.

Sizes that are not known before the graph runs, one row for a whole batch,
more or fewer states than the cell has.
"""

from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.keras_parity import BATCH
from helpers.models.keras_parity import FEATURES
from helpers.models.keras_parity import KINDS
from helpers.models.keras_parity import STEPS
from helpers.models.keras_parity import UNITS
from helpers.models.keras_parity import ParityTestCase
from helpers.models.keras_parity import evaluate
from helpers.models.keras_parity import num_states
from helpers.models.keras_parity import pair_of
from helpers.models.keras_parity import random_array
from helpers.models.keras_parity import random_inputs
from helpers.models.keras_parity import random_states

from kerasrnn import layers


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


class StatesTest(ParityTestCase):
    @parameterized.product(
        kind=KINDS,
        options=({}, {"unroll": True}, {"activation": "relu"}),
    )
    def test_the_first_ones_count(self, kind, options):
        inputs, count = random_inputs(), num_states(kind)
        states = random_states(count + 1)
        theirs, ours = pair_of(kind, **options, return_state=True)
        for training in (False, True):
            expected = theirs(
                inputs, initial_state=states[:count], training=training
            )
            for call in (ours, tf.function(ours)):
                outputs = call(inputs, initial_state=states, training=training)
                self.assertLen(outputs, 1 + count)
                for a, b in zip(outputs, expected, strict=True):
                    np.testing.assert_allclose(a, b, atol=1e-6)

    def test_an_encoders_h_and_c_for_a_gru(self):
        sequences = keras.Input((STEPS, FEATURES))
        states = [keras.Input((UNITS,)) for _ in range(2)]
        theirs, ours = (
            keras.Model(
                [sequences, *states], layer(sequences, initial_state=states)
            )
            for layer in pair_of("GRU")
        )
        arguments = [random_inputs(), *random_states(2)]
        np.testing.assert_allclose(
            ours(arguments), theirs(arguments), atol=1e-6
        )

    @parameterized.product(kind=KINDS, reset_after=(False, True))
    def test_of_a_cell(self, kind, reset_after):
        if kind != "GRU" and reset_after:
            return
        options = {"reset_after": reset_after} if kind == "GRU" else {}
        pair = pair_of(kind, **options)
        inputs, states = random_inputs()[:, 0], random_states(3)
        (_, theirs), (_, ours) = (layer.cell(inputs, states) for layer in pair)
        self.assertLen(ours, num_states(kind))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_too_few(self):
        rule = "must be a list of 2 tensors .*received 1"
        layer, states = layers.LSTM(UNITS), random_states(1)
        for initial_state in (states, states[0]):
            with self.assertRaisesRegex(ValueError, f"initial_state.*{rule}"):
                layer(random_inputs(), initial_state=initial_state)
            with self.assertRaisesRegex(ValueError, f"states .*{rule}"):
                layer.cell(random_inputs()[:, 0], initial_state)

    @parameterized.parameters("SimpleRNN", "LSTM")
    def test_one_row_as_wide_as_the_batch(self, kind):
        theirs, ours = pair_of(kind, units=BATCH)
        states = [random_array([BATCH], 3)] * num_states(kind)
        for training in (False, True):
            results = [
                layer(random_inputs(), initial_state=states, training=training)
                for layer in (theirs, ours)
            ]
            np.testing.assert_allclose(*results, atol=1e-6)


def _call(layer, batch=None, steps=None, mask_steps=None):
    """A layer as a graph of inputs and mask, of which these are known."""
    return tf.function(
        lambda inputs, mask: layer(inputs, mask=mask),
        input_signature=[
            tf.TensorSpec([batch, steps, FEATURES]),
            tf.TensorSpec([None, mask_steps], tf.bool),
        ],
    )


class MaskTest(ParityTestCase):
    @parameterized.parameters("LSTM", "GRU")
    def test_one_row_for_all_parts_of_a_batch(self, kind):
        units = 128
        theirs, ours = pair_of(kind, units, return_sequences=True)
        for layer in (theirs, ours):
            layer.set_weights(
                [weight / units**0.5 for weight in layer.get_weights()]
            )
        inputs = random_inputs(shape=(64, 8, FEATURES))
        mask = random_array((1, 8), 5) > 0
        with mock.patch.object(
            tf.config.threading,
            "get_inter_op_parallelism_threads",
            return_value=2,
        ):
            theirs, ours = (
                tf.function(evaluate)(layer, inputs, mask=mask, training=True)
                for layer in (theirs, ours)
            )
        self.assert_same(theirs, ours, 1e-4)

    @parameterized.product(
        kind=KINDS, sizes=((None, None), (BATCH, None), (None, STEPS))
    )
    def test_of_unknown_size(self, kind, sizes):
        theirs, ours = pair_of(
            kind, return_sequences=True, zero_output_for_mask=True
        )
        call, inputs = _call(ours, *sizes), random_inputs()
        for rows in (1, BATCH):
            mask = random_array((rows, STEPS), 5) > 0
            np.testing.assert_allclose(
                call(inputs, mask), theirs(inputs, mask=mask), atol=1e-6
            )
        for shape in ((2, STEPS), (BATCH, STEPS - 1), (BATCH, STEPS + 1)):
            with self.assertRaisesRegex(
                tf.errors.InvalidArgumentError, "as many rows and time steps"
            ):
                call(inputs, tf.ones(shape, tf.bool))

    @parameterized.product(
        shape=(
            (2, STEPS),
            (BATCH, STEPS - 1),
            (BATCH, STEPS + 1),
            (BATCH, 1),
            (STEPS,),
        ),
        go_backwards=(False, True),
    )
    def test_of_another_size(self, shape, go_backwards):
        layer = layers.LSTM(UNITS, go_backwards=go_backwards)
        for call in (layer, tf.function(layer)):
            with self.assertRaisesRegex(
                ValueError, "as many rows and time steps.*Received a mask"
            ):
                call(random_inputs(), mask=tf.ones(shape, tf.bool))

    def test_where_all_is_known_nothing_is_added(self):
        layer = layers.GRU(UNITS)
        function = tf.function(lambda inputs, mask: layer(inputs, mask=mask))
        graph = function.get_concrete_function(
            tf.TensorSpec([BATCH, STEPS, FEATURES]),
            tf.TensorSpec([BATCH, STEPS], tf.bool),
        ).graph
        types = {operation.type for operation in graph.get_operations()}
        self.assertNoCommonElements(types, {"Assert", "BroadcastTo"})


if __name__ == "__main__":
    absltest.main()
