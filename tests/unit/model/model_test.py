"""CharRNN: sequences against steps, NumPy and Keras; dropout; first weights."""

import itertools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models

from kerasrnn.config import CELLS
from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.weights import UNKNOWN_LOGIT

VOCABULARY = 11
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (3, 9), np.int32)


def _config(**options):
    return ModelConfig(
        **{"vocabulary_size": VOCABULARY, "units": 6, "dropout": 0.0, **options}
    )


def _model(**options):
    model = CharRNN(_config(**options))
    model.build_weights()
    model.set_weights(small_models.random_weights(model.config))
    return model


_EACH_MODEL = tuple(itertools.product(CELLS, (0, 5), (1, 3)))


class SequenceTest(parameterized.TestCase):
    @parameterized.parameters(*_EACH_MODEL)
    def test_equals_the_step_model(self, cell, embedding_size, num_layers):
        model = _model(
            cell=cell, embedding_size=embedding_size, num_layers=num_layers
        )
        logits, final = model(TOKENS)
        step_model = model.step_model()
        states = model.initial_states(len(TOKENS))
        for time in range(TOKENS.shape[1]):
            states = step_model.read(TOKENS[:, time], states)
            np.testing.assert_allclose(
                step_model.logits(states), logits[:, time], atol=1e-4
            )
        for a, b in zip(states, final, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)

    @parameterized.parameters(*_EACH_MODEL)
    def test_equals_the_equations(self, cell, embedding_size, num_layers):
        model = _model(
            cell=cell, embedding_size=embedding_size, num_layers=num_layers
        )
        logits, _ = model(TOKENS)
        log_probs = tf.nn.log_softmax(logits)
        for row, tokens in enumerate(TOKENS):
            oracle = small_models.NumpyModel(model.config, model.get_weights())
            for time, token in enumerate(tokens):
                oracle.read(token)
                np.testing.assert_allclose(
                    log_probs[row, time, 1:],
                    oracle.log_probs()[1:],
                    atol=1e-4,
                )

    @parameterized.parameters(*itertools.product(CELLS, (0, 5)))
    def test_gradients_equal_those_of_keras_layers(self, cell, embedding_size):
        model = _model(cell=cell, embedding_size=embedding_size)
        kind = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}[cell]
        stack = [
            getattr(keras.layers, kind)(6, return_sequences=True)
            for _ in range(2)
        ]
        if embedding_size:
            first = keras.layers.Embedding(VOCABULARY, embedding_size)
        else:
            first = keras.layers.Lambda(
                lambda ids: tf.one_hot(tf.cast(ids, tf.int32), VOCABULARY)
            )
        oracle = keras.Sequential(
            [first, *stack, keras.layers.Dense(VOCABULARY)]
        )
        oracle(TOKENS)
        oracle.set_weights(model.get_weights())
        upstream = tf.constant(
            np.random.default_rng(1).normal(size=(3, 9, VOCABULARY)),
            tf.float32,
        )
        gradients = []
        for function in (lambda tokens: model(tokens)[0], oracle):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum((function(TOKENS) * upstream)[..., 1:])
            weights = (model if not gradients else oracle).trainable_weights
            gradients.append(tape.gradient(loss, [w.value for w in weights]))
        for a, b in zip(*gradients, strict=True):
            a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)

    @parameterized.parameters(*CELLS)
    def test_states_carry_over(self, cell):
        model = _model(cell=cell)
        whole, final = model(TOKENS)
        first, states = model(TOKENS[:, :4])
        second, states = model(TOKENS[:, 4:], states=states)
        np.testing.assert_allclose(
            tf.concat([first, second], axis=1), whole, atol=1e-5
        )
        for a, b, size in zip(states, final, model.state_sizes, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
            self.assertEqual(a.shape, (3, size))

    @parameterized.parameters(*CELLS)
    def test_the_unknown_character_is_never_predicted(self, cell):
        model = _model(cell=cell)
        logits, states = model(TOKENS)
        np.testing.assert_array_equal(logits[..., 0], np.float32(UNKNOWN_LOGIT))
        np.testing.assert_array_equal(tf.nn.softmax(logits)[..., 0], 0)
        stepped = model.step_model().logits(states)
        np.testing.assert_array_equal(tf.nn.softmax(stepped)[..., 0], 0)

    @parameterized.parameters(
        *itertools.product(CELLS, ("mixed_bfloat16", "mixed_float16"))
    )
    def test_mixed_precision(self, cell, policy):
        exact, _ = _model(cell=cell)(TOKENS)
        logits, states = _model(cell=cell, dtype_policy=policy)(TOKENS)
        for tensor in (logits, *states):
            self.assertEqual(tensor.dtype, tf.float32)
        error = tf.norm((logits - exact)[..., 1:])
        self.assertLess(error, 0.05 * tf.norm(exact[..., 1:]))
        self.assertGreater(error, 0)

    @parameterized.parameters(*CELLS)
    def test_mixed_precision_carries_states_in_float32(self, cell):
        model = _model(cell=cell, dtype_policy="mixed_bfloat16")
        # 1 and a bit that bfloat16 has no room for.
        states = [
            tf.constant(1 + 2**-12, tf.float32, [3, size])
            for size in model.state_sizes
        ]
        weights = [weight.value for weight in model.weights]
        expected = sequence_logits(model.config, weights, TOKENS, states)
        actual = model(TOKENS, states=states)
        for a, b in zip(
            tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
        ):
            np.testing.assert_array_equal(a, b)

    @parameterized.parameters(*itertools.product(CELLS, (False, True)))
    def test_in_a_graph_of_any_shape(self, cell, jit_compile):
        model = _model(cell=cell)
        weights = [weight.value for weight in model.weights]
        function = tf.function(
            lambda tokens, states: sequence_logits(
                model.config, weights, tokens, states
            ),
            input_signature=[
                tf.TensorSpec([None, None], tf.int32),
                [tf.TensorSpec([None, n]) for n in model.state_sizes],
            ],
            jit_compile=jit_compile,
        )
        for tokens in (TOKENS, TOKENS[:1, :2]):
            expected, _ = model(tokens)
            actual, _ = function(tokens, model.initial_states(len(tokens)))
            np.testing.assert_allclose(actual, expected, atol=1e-4)

    def test_saves_and_loads(self):
        model = _model(cell="gru", embedding_size=4)
        path = Path(self.create_tempdir().full_path) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
        self.assertEqual(loaded.config, model.config)
        np.testing.assert_array_equal(loaded(TOKENS)[0], model(TOKENS)[0])


class PolicyTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(keras.config.set_floatx, keras.config.floatx())
        self.addCleanup(
            keras.config.set_dtype_policy, keras.config.dtype_policy()
        )

    @parameterized.product(
        cell=CELLS,
        policy=("float32", "mixed_bfloat16"),
        leak=("floatx", "bfloat16", "float64", "mixed_float16"),
    )
    def test_keras_global_settings_do_not_leak_in(self, cell, policy, leak):
        config = {"cell": cell, "embedding_size": 3, "dtype_policy": policy}
        expected = _model(**config)(TOKENS)
        if leak == "floatx":
            keras.config.set_floatx("float64")
        else:
            keras.config.set_dtype_policy(leak)
        model = _model(**config)
        for layer in model.layers:
            self.assertEqual(layer.dtype_policy.name, policy)
        for weight in model.weights:
            self.assertEqual(weight.dtype, "float32")
        for a, b in zip(
            tf.nest.flatten(model(TOKENS)),
            tf.nest.flatten(expected),
            strict=True,
        ):
            self.assertEqual(a.dtype, tf.float32)
            np.testing.assert_array_equal(a, b)

    @parameterized.parameters(
        "mixed_bfloat16", keras.DTypePolicy("mixed_bfloat16")
    )
    def test_dtype_is_honoured(self, dtype):
        model = CharRNN(_config(), dtype=dtype)
        self.assertEqual(model.config.dtype_policy, "mixed_bfloat16")
        self.assertEqual(model.compute_dtype, "bfloat16")
        with self.assertRaisesRegex(UserError, "dtype_policy"):
            CharRNN(_config(), dtype="float64")

    def test_config_round_trip(self):
        first = CharRNN(
            _config(), name="mine", trainable=False, dtype="mixed_bfloat16"
        )
        second = CharRNN.from_config(first.get_config())
        self.assertEqual(second.get_config(), first.get_config())
        self.assertEqual(second.name, "mine")
        self.assertFalse(second.trainable)
        self.assertEqual(second.dtype_policy.name, "mixed_bfloat16")
        # What earlier versions saved.
        older = CharRNN.from_config({"config": vars(first.config)})
        self.assertEqual(older.config, first.config)


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
        model = _model(dropout=0.5)
        key = tf.constant([0, 0, 0])
        plain, _ = model(TOKENS)
        np.testing.assert_array_equal(model(TOKENS, dropout_key=key)[0], plain)
        without = _model(dropout=0.0)
        np.testing.assert_array_equal(
            without(TOKENS, training=True, dropout_key=key)[0], plain
        )
        np.testing.assert_array_equal(without(TOKENS, training=True)[0], plain)

    def test_training_needs_a_key(self):
        with self.assertRaisesRegex(UserError, "dropout_key"):
            _model(dropout=0.5)(TOKENS, training=True)

    def test_mixed_precision(self):
        model = _model(dropout=0.5, dtype_policy="mixed_bfloat16")
        logits, states = model(
            TOKENS, training=True, dropout_key=tf.constant([0, 0, 0])
        )
        self.assertEqual(logits.dtype, tf.float32)
        self.assertTrue(np.all(np.isfinite(logits)))


class InitializationTest(parameterized.TestCase):
    def _weights(self, initializer, seed=0, **options):
        options = {"vocabulary_size": 60, "units": 100, **options}
        keras.utils.set_random_seed(seed)
        model = CharRNN(_config(initializer=initializer, **options))
        model.build_weights()
        return {weight.path: np.array(weight) for weight in model.weights}

    @parameterized.parameters(
        *itertools.product(("keras", "charrnn", "torchrnn"), CELLS)
    )
    def test_follows_from_the_seed(self, initializer, cell):
        first, same, other = (
            list(self._weights(initializer, seed, cell=cell).values())
            for seed in (5, 5, 6)
        )
        for a, b, c in zip(first, same, other, strict=True):
            np.testing.assert_array_equal(a, b)
            if np.ptp(a) > 1:
                self.assertFalse(np.array_equal(a, c))

    def _check_uniform(self, values, limit):
        self.assertLessEqual(np.max(np.abs(values)), limit)
        spread = limit / np.sqrt(3)
        self.assertAlmostEqual(np.std(values) / spread, 1, delta=0.1)
        self.assertLess(abs(np.mean(values)), 5 * spread / np.sqrt(values.size))

    @parameterized.parameters(*CELLS)
    def test_charrnn(self, cell):
        weights = self._weights("charrnn", cell=cell, embedding_size=30)
        for path, values in weights.items():
            if path.endswith("bias") and "logits" not in path:
                if cell == "gru":
                    # Keras' GRU has both biases that Torch's has.
                    self._check_uniform(values, 0.08)
                    continue
                if cell == "lstm":
                    # Of the forget gate's two, one starts at 1.
                    _, forget, *_ = np.split(values, 4)
                    self.assertLessEqual(np.max(np.abs(forget - 1)), 0.0801)
                    self.assertGreater(np.std(forget), 0.03)
                    values = np.delete(values, np.s_[100:200])
                # The sum of two draws, as of Torch's two biases.
                self.assertLessEqual(np.max(np.abs(values)), 0.16)
                self.assertAlmostEqual(
                    np.std(values) / (0.08 * np.sqrt(2 / 3)), 1, delta=0.15
                )
            else:
                self._check_uniform(values, 0.08)

    @parameterized.parameters(*CELLS)
    def test_torchrnn(self, cell):
        weights = self._weights("torchrnn", cell=cell, embedding_size=30)
        for path, values in weights.items():
            if "embedding" in path:
                self.assertAlmostEqual(np.std(values), 1, delta=0.1)
            elif "logits" in path:
                self._check_uniform(values, 0.1)
            elif path.endswith("kernel"):
                width = 130 if f"{cell}_0" in path else 200
                self.assertAlmostEqual(
                    np.std(values) * np.sqrt(width), 1, delta=0.05
                )
            else:
                ones = 100 if cell == "lstm" else 0
                self.assertEqual(np.sum(values), ones)

    @parameterized.parameters(*CELLS)
    def test_keras(self, cell):
        weights = self._weights("keras", cell=cell)
        for path, values in weights.items():
            if path.endswith("recurrent_kernel"):
                # Orthogonal as a whole, as Keras has it.
                np.testing.assert_allclose(
                    values @ values.T, np.eye(100), atol=1e-4
                )
            elif path.endswith("kernel"):
                limit = np.sqrt(6 / sum(values.shape))
                self._check_uniform(values, limit)
            elif cell == "lstm" and "logits" not in path:
                self.assertEqual(
                    values.tolist(), [0] * 100 + [1] * 100 + [0] * 200
                )
            else:
                np.testing.assert_array_equal(values, 0)


if __name__ == "__main__":
    absltest.main()
