"""CharRNN: sequences against steps, NumPy and Keras; policies and dtypes."""

import itertools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from helpers.models.small_char_rnn import TOKENS
from helpers.models.small_char_rnn import VOCABULARY
from helpers.models.small_char_rnn import make_config
from helpers.models.small_char_rnn import make_model

from kerasrnn.config import CELLS
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.weights import UNKNOWN_LOGIT
from kerasrnn.model.weights import weight_shapes

_EACH_MODEL = tuple(itertools.product(CELLS, (0, 5), (1, 3)))


class ArgumentsTest(parameterized.TestCase):
    """A slip is told in a sentence, and never answered with other shapes."""

    @parameterized.product(
        cell=CELLS, embedding_size=(0, 5), graph=(False, True)
    )
    def test_mistakes(self, cell, embedding_size, graph):
        model = make_model(cell=cell, embedding_size=embedding_size)
        states = model.initial_states(len(TOKENS))

        def call(tokens, states=None):
            if not graph:
                return model(tokens, states=states)
            function = tf.function(model, autograph=False)
            return function(tf.constant(tokens), states=states)

        for arguments, message in (
            ((TOKENS[0],), r"of shape \[batch, time\].*np.newaxis"),
            ((TOKENS[None],), r"of shape \[batch, time\], not of shape \(1, "),
            ((TOKENS.astype(np.float32),), "must be ids, integers"),
            ((TOKENS, states[:-1]), f"list of {len(states)} tensors"),
            ((TOKENS, [*states, states[0]]), f"not of {len(states) + 1}"),
            ((TOKENS[:1], states), r"states\[0\] must be of shape \[1, "),
        ):
            with self.assertRaisesRegex(UserError, message):
                call(*arguments)
        call(TOKENS, states)

    @parameterized.product(
        dtype=("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"),
        options=({}, {"embedding_size": 5}, {"separator_id": 2}),
    )
    def test_ids_of_any_size_are_taken(self, dtype, options):
        model = make_model(**options)
        expected = model(TOKENS)[0].numpy()
        tokens = TOKENS.astype(dtype)
        np.testing.assert_array_equal(model(tokens)[0], expected)
        function = tf.function(model, autograph=False)
        np.testing.assert_allclose(
            function(tf.constant(tokens))[0], expected, atol=1e-6
        )

    def test_a_batch_of_unknown_size_is_taken(self):
        model = make_model()
        signature = [tf.TensorSpec([None, None], tf.int32)]
        function = tf.function(model, signature, autograph=False)
        np.testing.assert_allclose(
            function(tf.constant(TOKENS))[0], model(TOKENS)[0], atol=1e-4
        )


class SequenceTest(parameterized.TestCase):
    @parameterized.parameters(*_EACH_MODEL)
    def test_equals_the_step_model(self, cell, embedding_size, num_layers):
        model = make_model(
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
        model = make_model(
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
        model = make_model(cell=cell, embedding_size=embedding_size)
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
        model = make_model(cell=cell)
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
        model = make_model(cell=cell)
        logits, states = model(TOKENS)
        np.testing.assert_array_equal(logits[..., 0], np.float32(UNKNOWN_LOGIT))
        np.testing.assert_array_equal(tf.nn.softmax(logits)[..., 0], 0)
        stepped = model.step_model().logits(states)
        np.testing.assert_array_equal(tf.nn.softmax(stepped)[..., 0], 0)

    @parameterized.parameters(
        *itertools.product(CELLS, ("mixed_bfloat16", "mixed_float16"))
    )
    def test_mixed_precision(self, cell, policy):
        exact, _ = make_model(cell=cell)(TOKENS)
        logits, states = make_model(cell=cell, dtype_policy=policy)(TOKENS)
        for tensor in (logits, *states):
            self.assertEqual(tensor.dtype, tf.float32)
        error = tf.norm((logits - exact)[..., 1:])
        self.assertLess(error, 0.05 * tf.norm(exact[..., 1:]))
        self.assertGreater(error, 0)

    @parameterized.parameters(*CELLS)
    def test_mixed_precision_carries_states_in_float32(self, cell):
        model = make_model(cell=cell, dtype_policy="mixed_bfloat16")
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
        model = make_model(cell=cell)
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
            autograph=False,
        )
        for tokens in (TOKENS, TOKENS[:1, :2]):
            expected, _ = model(tokens)
            actual, _ = function(tokens, model.initial_states(len(tokens)))
            np.testing.assert_allclose(actual, expected, atol=1e-4)

    def test_saves_and_loads(self):
        model = make_model(cell="gru", embedding_size=4)
        path = Path(self.create_tempdir().full_path) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
        self.assertEqual(loaded.config, model.config)
        np.testing.assert_array_equal(loaded(TOKENS)[0], model(TOKENS)[0])


class WeightShapesTest(parameterized.TestCase):
    @parameterized.parameters(*_EACH_MODEL)
    def test_are_those_of_the_model(self, cell, embedding_size, num_layers):
        model = make_model(
            cell=cell, embedding_size=embedding_size, num_layers=num_layers
        )
        expected = [
            # Without the model's own name, which Keras numbers.
            (weight.path.partition("/")[2], tuple(weight.shape))
            for weight in model.weights
        ]
        self.assertEqual(list(weight_shapes(model.config).items()), expected)


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
        expected = make_model(**config)(TOKENS)
        if leak == "floatx":
            keras.config.set_floatx("float64")
        else:
            keras.config.set_dtype_policy(leak)
        model = make_model(**config)
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
        model = CharRNN(make_config(), dtype=dtype)
        self.assertEqual(model.config.dtype_policy, "mixed_bfloat16")
        self.assertEqual(model.compute_dtype, "bfloat16")
        with self.assertRaisesRegex(UserError, "dtype_policy"):
            CharRNN(make_config(), dtype="float64")

    def test_config_round_trip(self):
        first = CharRNN(
            make_config(), name="mine", trainable=False, dtype="mixed_bfloat16"
        )
        second = CharRNN.from_config(first.get_config())
        self.assertEqual(second.get_config(), first.get_config())
        self.assertEqual(second.name, "mine")
        self.assertFalse(second.trainable)
        self.assertEqual(second.dtype_policy.name, "mixed_bfloat16")
        # What earlier versions saved.
        older = CharRNN.from_config({"config": vars(first.config)})
        self.assertEqual(older.config, first.config)


if __name__ == "__main__":
    absltest.main()
