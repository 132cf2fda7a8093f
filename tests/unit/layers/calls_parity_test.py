"""Dropout, states kept from call to call, and graphs give what Keras' give."""

import functools

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.keras_parity import BATCH
from helpers.models.keras_parity import FEATURES
from helpers.models.keras_parity import KINDS
from helpers.models.keras_parity import MASKS
from helpers.models.keras_parity import STEPS
from helpers.models.keras_parity import ParityTestCase
from helpers.models.keras_parity import combinations
from helpers.models.keras_parity import evaluate
from helpers.models.keras_parity import mask_of
from helpers.models.keras_parity import num_states
from helpers.models.keras_parity import pair_of
from helpers.models.keras_parity import random_array
from helpers.models.keras_parity import random_inputs
from helpers.models.keras_parity import random_states


class LayerCallsTest(ParityTestCase):
    @parameterized.parameters(
        ("SimpleRNN", 2), ("LSTM", 1), ("LSTM", 2), ("GRU", 1), ("GRU", 2)
    )
    def test_dropout(self, kind, implementation):
        for rates, mask in combinations(
            (
                {"dropout": 0.4},
                {"recurrent_dropout": 0.4},
                {"dropout": 0.3, "recurrent_dropout": 0.3},
            ),
            (None, "row_masked"),
        ):
            self.check(
                kind,
                True,
                mask,
                training=True,
                **({"implementation": 1} if implementation == 1 else {}),
                unroll=mask is None,
                return_sequences=True,
                return_state=True,
                seed=7,
                **rates,
            )

    @parameterized.parameters(*KINDS)
    def test_dropout_draws_anew_each_call(self, kind):
        theirs, ours = pair_of(kind, dropout=0.5, recurrent_dropout=0.5, seed=3)
        first, second = (
            [layer(random_inputs(), training=True) for layer in (theirs, ours)]
            for _ in range(2)
        )
        np.testing.assert_allclose(*first, atol=1e-6)
        np.testing.assert_allclose(*second, atol=1e-6)
        self.assertNotAllClose(first[1], second[1])

    def assertNotAllClose(self, a, b):  # noqa: N802
        self.assertGreater(np.max(np.abs(a - b)), 1e-3)

    @parameterized.product(
        kind=KINDS,
        rate=("dropout", "recurrent_dropout"),
        mask=(None, "row_masked"),
    )
    def test_dropout_of_all(self, kind, rate, mask):
        try:
            keras.random.dropout(tf.ones([1]), 1.0)
        except ValueError as error:
            self.skipTest(f"This Keras refuses a rate of 1: {error}")
        self.check(kind, False, mask, training=True, **{rate: 1.0})

    @parameterized.parameters(*KINDS)
    def test_dropout_is_off_outside_training(self, kind):
        self.check(kind, dropout=0.5, recurrent_dropout=0.5)
        if kind == "GRU":
            self.check(kind, recurrent_dropout=0.5, reset_after=False)

    @parameterized.parameters(
        combinations(KINDS, (False, True), (None, "row_masked"))
    )
    def test_stateful(self, kind, go_backwards, mask):
        pair = pair_of(
            kind,
            stateful=True,
            go_backwards=go_backwards,
            return_sequences=True,
        )
        for call in range(3):
            inputs = random_inputs() * (call + 1)
            self.assert_same(
                *(evaluate(la, inputs, mask=mask_of(mask)) for la in pair)
            )
        for a, b in zip(pair[0].states, pair[1].states, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
        for layer in pair:
            layer.reset_state()
            self.assertAllZero(layer.states)
        states = random_states(num_states(kind))
        self.assert_same(
            *(evaluate(la, random_inputs(), states) for la in pair)
        )

    def assertAllZero(self, tensors):  # noqa: N802
        for tensor in tensors:
            np.testing.assert_array_equal(tensor, 0)

    @parameterized.parameters(combinations(KINDS, (False, True)))
    def test_in_a_graph(self, kind, jit_compile):
        theirs, ours = pair_of(kind, return_sequences=True, return_state=True)
        function = tf.function(
            lambda inputs, mask, *states: evaluate(
                ours, inputs, states, mask=mask
            ),
            jit_compile=jit_compile,
        )
        states = random_states(num_states(kind))
        mask = mask_of("row_masked")
        self.assert_same(
            evaluate(theirs, random_inputs(), states, mask=mask),
            function(random_inputs(), tf.constant(mask), *states),
        )

    @parameterized.product(kind=KINDS, batch=(1, BATCH), masked=(False, True))
    def test_any_length_of_a_known_batch(self, kind, batch, masked):
        theirs, ours = pair_of(kind, return_sequences=True)
        sequences = random_array([batch, STEPS, FEATURES], 10)
        mask = np.array(MASKS["right_padded"], bool)[:batch]

        def run(layer, sequences, mask):
            return layer(sequences, mask=mask if masked else None)

        graph = tf.function(
            functools.partial(run, ours),
            input_signature=[
                tf.TensorSpec([batch, None, FEATURES]),
                tf.TensorSpec([batch, None], tf.bool),
            ],
        )
        np.testing.assert_allclose(
            graph(sequences, mask), run(theirs, sequences, mask), atol=1e-6
        )

    @parameterized.parameters(
        ("SimpleRNN", 256, False), ("LSTM", 128, True), ("GRU", 160, False)
    )
    def test_large_enough_to_be_compiled(self, kind, units, masked):
        theirs, ours = pair_of(
            kind, units, dropout=0.3, seed=1, return_sequences=True
        )
        for layer in (theirs, ours):
            layer.set_weights(
                [weight / units**0.5 for weight in layer.get_weights()]
            )
        inputs = random_inputs(shape=(33, 8, FEATURES))
        arguments = {"training": True}
        if masked:
            arguments["mask"] = random_array((33, 8), 5) > 0
        theirs, ours = (
            tf.function(evaluate)(layer, inputs, **arguments)
            for layer in (theirs, ours)
        )
        self.assert_same(theirs, ours, 1e-4)


if __name__ == "__main__":
    absltest.main()
