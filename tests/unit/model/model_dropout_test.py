"""The dropout of a CharRNN: where it is, and what it is a function of."""

import itertools

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from helpers.models.small_char_rnn import TOKENS
from helpers.models.small_char_rnn import make_model

from kerasrnn.config import CELLS
from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.model.dropout import recurrent_kernel_factors


def _dropped(
    key, batch=6, steps=7, units=40, num_layers=1, rate=0.3, cell="gru"
):
    """Returns the last layer's outputs [B, T, U - 1], dropped and not.

    The output layer is the identity, so the logits are those outputs.
    """
    model = CharRNN(
        ModelConfig(
            vocabulary_size=units,
            units=units,
            cell=cell,
            num_layers=num_layers,
            dropout=rate,
        )
    )
    model.build_weights()
    weights = small_models.random_weights(model.config)
    weights[-2], weights[-1] = np.eye(units), np.zeros(units)
    model.set_weights(weights)
    tokens = np.arange(batch * steps).reshape(batch, steps) % units
    tokens = tf.constant(tokens, tf.int32)
    dropped, _ = model(
        tokens, training=True, dropout_key=tf.constant(key, tf.int64)
    )
    plain, _ = model(tokens)
    return dropped.numpy()[..., 1:], plain.numpy()[..., 1:]


class DropoutTest(parameterized.TestCase):
    def _kept(self, key, **options):
        dropped, plain = _dropped(key, **options)
        self.assertGreater(np.min(np.abs(plain)), 0)
        return dropped != 0

    @parameterized.parameters(0.1, 0.5, 0.9)
    def test_rate_and_scale(self, rate):
        dropped, plain = _dropped((1, 2, 0), batch=20, steps=20, rate=rate)
        kept = dropped != 0
        np.testing.assert_allclose(
            dropped[kept], plain[kept] / (1 - rate), rtol=1e-4
        )
        spread = np.sqrt(rate * (1 - rate) / kept.size)
        self.assertAlmostEqual(kept.mean(), 1 - rate, delta=5 * spread)

    def test_is_a_function_of_the_key(self):
        np.testing.assert_array_equal(
            self._kept((1, 2, 0)), self._kept((1, 2, 0))
        )

    @parameterized.parameters(
        ((2, 2, 0), (1, 2, 0)),  # seed
        ((1, 3, 0), (1, 2, 0)),  # step
        ((1, 2, 6), (1, 2, 0)),  # streams
        ((-1, 2, 0), (1, 2, 0)),
        ((2**62, 2**40, 0), (2**62, 2**40 + 1, 0)),
    )
    def test_another_key_is_independent(self, first, second):
        self._check_independent(self._kept(first), self._kept(second))

    def test_layers_are_independent(self):
        self._check_independent(
            self._kept((1, 2, 0), num_layers=1),
            self._kept((1, 2, 0), num_layers=2),
        )

    def test_streams_and_times_are_independent(self):
        kept = self._kept((1, 2, 0), batch=12, steps=12)
        self._check_independent(kept[1:], kept[:-1])
        self._check_independent(kept[:, 1:], kept[:, :-1])
        self._check_independent(kept[..., 1:], kept[..., :-1])

    def _check_independent(self, first, second, rate=0.3):
        agreement = np.mean(first == second)
        expected = rate**2 + (1 - rate) ** 2
        spread = np.sqrt(expected * (1 - expected) / first.size)
        self.assertAlmostEqual(agreement, expected, delta=5 * spread)

    @parameterized.parameters(
        *itertools.product(CELLS, (1, 2), ((5, 40), (3, 7)))
    )
    def test_a_replicas_slice_equals_the_whole(self, cell, num_layers, shape):
        steps, units = shape
        options = {
            "cell": cell,
            "num_layers": num_layers,
            "steps": steps,
            "units": units,
        }
        whole = self._kept((7, 3, 0), batch=6, **options)
        for first, count in ((0, 3), (3, 3), (2, 1)):
            part = self._kept((7, 3, first), batch=count, **options)
            np.testing.assert_array_equal(part, whole[first : first + count])

    def test_none_without_training_or_rate(self):
        model = make_model(dropout=0.5)
        key = tf.constant([0, 0, 0])
        plain, _ = model(TOKENS)
        np.testing.assert_array_equal(model(TOKENS, dropout_key=key)[0], plain)
        without = make_model(dropout=0.0)
        np.testing.assert_array_equal(
            without(TOKENS, training=True, dropout_key=key)[0], plain
        )
        np.testing.assert_array_equal(without(TOKENS, training=True)[0], plain)

    @parameterized.parameters("dropout", "recurrent_kernel_dropout")
    def test_training_needs_a_key(self, name):
        with self.assertRaisesRegex(UserError, "dropout_key"):
            make_model(**{name: 0.5})(TOKENS, training=True)

    @parameterized.product(cell=CELLS, policy=("float32", "mixed_bfloat16"))
    def test_of_the_recurrent_kernels(self, cell, policy):
        options = {"cell": cell, "dtype_policy": policy}
        model = make_model(recurrent_kernel_dropout=0.5, **options)
        key = tf.constant([1, 2, 3], tf.int64)
        logits, states = model(TOKENS, training=True, dropout_key=key)
        factors = recurrent_kernel_factors(model.config, key)
        weights = [
            variable.value if factor is None else variable.value * factor
            for variable, factor in zip(model.weights, factors, strict=True)
        ]
        self.assertEqual(
            [factor is not None for factor in factors],
            [v.name == "recurrent_kernel" for v in model.weights],
        )
        expected = make_model(**options)
        expected.set_weights(weights)
        expected_logits, expected_states = expected(TOKENS)
        np.testing.assert_allclose(logits, expected_logits, atol=1e-6)
        for state, expected_state in zip(states, expected_states, strict=True):
            np.testing.assert_allclose(state, expected_state, atol=1e-6)
        plain, _ = model(TOKENS)
        self.assertGreater(np.abs(logits - plain)[..., 1:].max(), 1e-2)

    def test_mixed_precision(self):
        model = make_model(dropout=0.5, dtype_policy="mixed_bfloat16")
        logits, states = model(
            TOKENS, training=True, dropout_key=tf.constant([0, 0, 0])
        )
        self.assertEqual(logits.dtype, tf.float32)
        self.assertTrue(np.all(np.isfinite(logits)))


if __name__ == "__main__":
    absltest.main()
