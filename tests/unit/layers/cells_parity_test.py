"""Our cells, and layers within Keras' wrappers, give what Keras' give."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.keras_parity import ANY_MASK
from helpers.models.keras_parity import BATCH
from helpers.models.keras_parity import FEATURES
from helpers.models.keras_parity import KINDS
from helpers.models.keras_parity import STEPS
from helpers.models.keras_parity import UNITS
from helpers.models.keras_parity import ParityTestCase
from helpers.models.keras_parity import combinations
from helpers.models.keras_parity import evaluate
from helpers.models.keras_parity import mask_of
from helpers.models.keras_parity import num_states
from helpers.models.keras_parity import pair_of
from helpers.models.keras_parity import random_array
from helpers.models.keras_parity import random_inputs
from helpers.models.keras_parity import random_states
from helpers.models.keras_parity import set_random_weights

from kerasrnn import layers


class CellTest(ParityTestCase):
    def pair(self, kind, units=UNITS, **options):
        theirs = getattr(keras.layers, f"{kind}Cell")(units, **options)
        return theirs, getattr(layers, f"{kind}Cell")(units, **options)

    @parameterized.parameters(
        *combinations(KINDS, ({}, {"use_bias": False})),
        ("LSTM", {"implementation": 1}),
        ("GRU", {"implementation": 1}),
        ("GRU", {"reset_after": False}),
    )
    def test_one_step(self, kind, options):
        pair = self.pair(kind, **options)
        inputs = tf.constant(random_array((BATCH, FEATURES), 1))
        states = random_states(num_states(kind))
        for cell in pair:
            cell.build(inputs.shape)
        set_random_weights(*pair)
        theirs, ours = (cell(inputs, states) for cell in pair)
        np.testing.assert_allclose(theirs[0], ours[0], atol=1e-6)
        for a, b in zip(theirs[1], ours[1], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    @parameterized.parameters(*KINDS)
    def test_dropout_of_one_step(self, kind):
        for options in ({"dropout": 0.5}, {"recurrent_dropout": 0.5}):
            pair = self.pair(kind, seed=11, **options)
            inputs = tf.constant(random_array((BATCH, FEATURES), 1))
            states = random_states(num_states(kind))
            for cell in pair:
                cell.build(inputs.shape)
            set_random_weights(*pair)
            theirs, ours = (
                cell(inputs, states, training=True) for cell in pair
            )
            np.testing.assert_allclose(theirs[0], ours[0], atol=1e-6)

    def check_rnn(self, cells, **arguments):
        """Compares `keras.layers.RNN` around Keras' cells and around ours."""
        pair = [
            keras.layers.RNN(cell, return_sequences=True, return_state=True)
            for cell in cells
        ]
        for layer in pair:
            layer.build((BATCH, STEPS, FEATURES))
        set_random_weights(*pair)
        self.assert_same(
            *(evaluate(layer, random_inputs(), **arguments) for layer in pair)
        )

    @parameterized.parameters(combinations(KINDS, ANY_MASK))
    def test_in_keras_rnn(self, kind, mask):
        self.check_rnn(self.pair(kind), mask=mask_of(mask))

    @parameterized.parameters(*KINDS)
    def test_in_keras_rnn_with_dropout(self, kind):
        cells = self.pair(kind, dropout=0.4, recurrent_dropout=0.4, seed=5)
        self.check_rnn(cells, training=True)

    @parameterized.parameters(None, "row_masked")
    def test_in_stacked_cells(self, mask):
        cells = zip(
            *(self.pair(kind, UNITS + n) for n, kind in enumerate(KINDS)),
            strict=True,
        )
        self.check_rnn(
            [keras.layers.StackedRNNCells(list(stack)) for stack in cells],
            mask=mask_of(mask),
        )


class WrapperTest(ParityTestCase):
    @parameterized.parameters(
        combinations(KINDS, ("concat", "sum", "mul", "ave", None))
    )
    def test_bidirectional(self, kind, merge_mode):
        for mask, return_sequences in ((None, False), ("row_masked", True)):
            options = {
                "return_sequences": return_sequences,
                "return_state": return_sequences,
            }
            pair = [
                keras.layers.Bidirectional(layer, merge_mode=merge_mode)
                for layer in pair_of(kind, **options)
            ]
            for wrapper in pair:
                wrapper.build((BATCH, STEPS, FEATURES))
            set_random_weights(*pair)
            states = random_states(2 * num_states(kind))
            self.assert_same(
                *(
                    evaluate(
                        wrapper, random_inputs(), states, mask=mask_of(mask)
                    )
                    for wrapper in pair
                )
            )

    @parameterized.parameters(*KINDS)
    def test_time_distributed(self, kind):
        inputs = random_inputs(shape=(2, 3, STEPS, FEATURES))
        self.assert_same(
            *(
                evaluate(keras.layers.TimeDistributed(layer), inputs)
                for layer in pair_of(kind)
            )
        )

    @parameterized.parameters(*KINDS)
    def test_a_stack_of_layers(self, kind):
        first = pair_of(kind, FEATURES, return_sequences=True)
        second = pair_of(kind)
        pair = [
            keras.Sequential(list(stack))
            for stack in zip(first, second, strict=True)
        ]
        self.assert_same(*(evaluate(model, random_inputs()) for model in pair))


class NarrowStateTest(parameterized.TestCase):
    @parameterized.product(
        dtype=("mixed_bfloat16", "mixed_float16"), reset_after=(True, False)
    )
    def test_a_gru_holds_a_small_state_in_16_bits(self, dtype, reset_after):
        cells = [
            package.GRUCell(4, dtype=dtype, reset_after=reset_after)
            for package in (layers, keras.layers)
        ]
        kernel = np.repeat([[0.0, 0.0, 1.0]], 4, axis=1)
        for cell in cells:
            cell.build((None, 1))
            bias = np.zeros(cell.bias.shape)
            bias.reshape(-1, 12)[0, :4] = 30  # The update gate is 1.
            cell.set_weights([kernel, np.zeros([4, 12]), bias])
            start = tf.fill([2, 4], tf.cast(0.01, cell.compute_dtype))
            state = start
            for value in (1.5, -0.9, 0.3, -1.8, 0.7):
                inputs = tf.fill([2, 1], tf.cast(value, cell.compute_dtype))
                _, (state,) = cell(inputs, [state])
            np.testing.assert_array_equal(
                *(tf.cast(h, tf.float32) for h in (state, start))
            )


if __name__ == "__main__":
    absltest.main()
