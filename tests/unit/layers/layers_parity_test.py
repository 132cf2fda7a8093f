"""Our layers give what Keras' give, with each mask, direction and option."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.covering_rows import covering
from helpers.models.keras_parity import ANY_MASK
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
from helpers.models.keras_parity import random_inputs
from helpers.models.keras_parity import random_states

BOTH = (False, True)


class LayerTest(ParityTestCase):
    @parameterized.parameters(
        covering(combinations(KINDS, ANY_MASK, BOTH, BOTH, BOTH), together=3)
    )
    def test_masks_and_directions(
        self, kind, mask, states, go_backwards, return_sequences
    ):
        self.check(
            kind,
            states,
            mask,
            go_backwards=go_backwards,
            return_sequences=return_sequences,
            return_state=True,
        )

    @parameterized.parameters(*KINDS)
    def test_return_only_outputs(self, kind):
        for return_sequences in (False, True):
            self.check(
                kind, True, "row_masked", return_sequences=return_sequences
            )

    @parameterized.parameters(
        covering(combinations(KINDS, ANY_MASK, BOTH, BOTH), together=3)
    )
    def test_zero_output_for_mask(
        self, kind, mask, go_backwards, return_sequences
    ):
        self.check(
            kind,
            True,
            mask,
            go_backwards=go_backwards,
            return_sequences=return_sequences,
            return_state=True,
            zero_output_for_mask=True,
        )

    @parameterized.parameters(*KINDS)
    def test_unroll(self, kind):
        for mask, go_backwards, zero in combinations(
            ANY_MASK, (False, True), (False, True)
        ):
            if mask and go_backwards and zero:
                # Keras' unrolled path zeros by the mask that is not reversed,
                # unlike its own loop.
                continue
            self.check(
                kind,
                True,
                mask,
                unroll=True,
                go_backwards=go_backwards,
                return_sequences=not zero,
                return_state=True,
                zero_output_for_mask=zero,
            )

    @parameterized.parameters(*KINDS)
    def test_unroll_backwards_zeroed_equals_the_loop(self, kind):
        for mask in MASKS:
            options = {
                "go_backwards": True,
                "zero_output_for_mask": True,
                "return_sequences": True,
            }
            _, looped = pair_of(kind, **options)
            _, unrolled = pair_of(kind, unroll=True, **options)
            self.assert_same(
                *(
                    evaluate(layer, random_inputs(), mask=mask_of(mask))
                    for layer in (looped, unrolled)
                )
            )

    @parameterized.parameters(*KINDS)
    def test_options(self, kind):
        alternatives = [
            {"use_bias": False},
            {"activation": "relu"},
            {"activation": "linear"},
            {"activation": tf.sin},
        ]
        if kind != "SimpleRNN":
            alternatives += [
                {"implementation": 1},
                {"recurrent_activation": "hard_sigmoid"},
                {"recurrent_activation": tf.sin, "activation": "sigmoid"},
            ]
        if kind == "LSTM":
            alternatives += [{"unit_forget_bias": False}]
        if kind == "GRU":
            alternatives += [
                {"reset_after": False},
                {"reset_after": False, "use_bias": False},
                {"reset_after": False, "implementation": 1},
                {"reset_after": False, "activation": "relu"},
            ]
        for options, mask, unroll in covering(
            combinations(alternatives, (None, "row_masked"), BOTH)
        ):
            self.check(
                kind,
                True,
                mask,
                go_backwards=mask is not None,
                unroll=unroll,
                return_sequences=True,
                return_state=True,
                **options,
            )

    @parameterized.parameters(*KINDS)
    def test_float64(self, kind):
        for mask in ANY_MASK:
            self.check(
                kind,
                True,
                mask,
                go_backwards=mask == "first_masked",
                return_sequences=True,
                return_state=True,
                dtype="float64",
            )

    @parameterized.parameters(
        combinations(
            KINDS, ("mixed_bfloat16", "mixed_float16"), (None, "row_masked")
        )
    )
    def test_mixed_precision(self, kind, dtype, mask):
        options = {"return_sequences": True, "return_state": True}
        exact, _ = pair_of(kind, **options)
        theirs, ours = pair_of(kind, dtype=dtype, **options)
        exact, theirs, ours = (
            evaluate(
                layer,
                random_inputs(),
                random_states(num_states(kind)),
                mask=mask_of(mask),
            )
            for layer in (exact, theirs, ours)
        )
        unit = 2**-8 if dtype == "mixed_bfloat16" else 2**-11
        self.assert_same(theirs, ours, tolerance=20 * unit)
        for a, b, c in zip(
            *map(tf.nest.flatten, (exact, theirs, ours)), strict=True
        ):
            a, b, c = (tf.cast(tensor, tf.float64) for tensor in (a, b, c))
            # Not much farther from the truth than Keras.
            self.assertLessEqual(
                tf.norm(c - a), 2 * tf.norm(b - a) + 2 * unit * tf.norm(a)
            )

    @parameterized.parameters(
        combinations(KINDS, (False, True), ("float32", "mixed_bfloat16"))
    )
    def test_integer_inputs(self, kind, unroll, dtype):
        theirs, ours = pair_of(kind, unroll=unroll, dtype=dtype)
        inputs = np.arange(BATCH * STEPS * FEATURES) % 3
        inputs = inputs.reshape(BATCH, STEPS, FEATURES)
        theirs, ours = (
            tf.cast(la(inputs), tf.float32) for la in (theirs, ours)
        )
        tolerance = 1e-5 if dtype == "float32" else 0.05
        np.testing.assert_allclose(theirs, ours, atol=tolerance)

    @parameterized.parameters(*KINDS)
    def test_one_state_may_be_bare(self, kind):
        if kind == "LSTM":
            return
        theirs, ours = pair_of(kind)
        (state,) = random_states(1)
        np.testing.assert_allclose(
            theirs(random_inputs(), initial_state=state),
            ours(random_inputs(), initial_state=state),
            atol=1e-6,
        )

    @parameterized.parameters(*KINDS)
    def test_mask_of_a_masking_layer(self, kind):
        inputs = random_inputs().numpy()
        inputs[~mask_of("first_masked")] = 0.0
        models = [
            keras.Sequential([keras.layers.Masking(), layer])
            for layer in pair_of(kind, return_sequences=True)
        ]
        self.assert_same(*(evaluate(m, tf.constant(inputs)) for m in models))


if __name__ == "__main__":
    absltest.main()
