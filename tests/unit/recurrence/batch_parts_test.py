"""Training in compiled parts gives what the plain loops give.

The layers are made large enough that they choose to compile: nothing is
switched on for the test.
"""

import gc
import itertools
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from helpers.full_counts import FULL

import kerasrnn.layers
from kerasrnn.config import ModelConfig
from kerasrnn.model.weights import state_sizes
from kerasrnn.recurrence import batch_parts
from kerasrnn.recurrence import engine
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.gradients import make_loss_gradient

_BATCH = 41  # two parts of unequal size
_STEPS = 60
_UNITS = 64
_KINDS = ("SimpleRNN", "LSTM", "GRU")


def _short(*kinds):
    """All kinds, or in the short form the first.

    What does not depend on the number of states is tried with one kind; all
    kinds are read in parts by `test_stack_equals_plain_loops`, and in narrow
    numbers by scan_test.
    """
    return [[kind] for kind in kinds if FULL or kind == kinds[0]]


def _cores_and_rows():
    if FULL:
        return itertools.product((4, 8, 16, 64), (5, 41, 130))
    return [(16, 5)]


def _model(kind, units=_UNITS, **options):
    keras.utils.set_random_seed(3)
    layer = getattr(kerasrnn.layers, kind)
    return keras.Sequential(
        [
            keras.Input((None, 5)),
            layer(units, return_sequences=True, **options),
            layer(units, return_sequences=True, **options),
        ]
    )


def _inputs(batch=_BATCH):
    generator = np.random.default_rng(batch)
    return tf.constant(generator.normal(size=(batch, _STEPS, 5)), tf.float32)


def _step(model, training, signature=None):
    @tf.function(input_signature=signature, autograph=False)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(inputs, training=training)
            loss = tf.reduce_sum(tf.sin(outputs)) / _STEPS
        variables = [v.value for v in model.trainable_variables]
        return outputs, tape.gradient(loss, [inputs, *variables])

    return step


def _num_compiled(step, inputs):
    graph = step.get_concrete_function(inputs).graph
    functions = graph.as_graph_def().library.function
    return sum("_XlaMustCompile" in f.attr for f in functions)


def _num_functions():
    """How many functions of TensorFlow are alive."""
    gc.collect()
    kind = type(tf.function(lambda: None))
    return sum(type(value) is kind for value in gc.get_objects())


class LayersTest(tf.test.TestCase, parameterized.TestCase):
    def assert_same(self, actual, expected):
        for ours, theirs in zip(
            tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
        ):
            scale = max(1.0, float(tf.reduce_max(tf.abs(theirs))))
            self.assertAllClose(ours / scale, theirs / scale, 0, 2e-5)

    @parameterized.parameters("SimpleRNN", "LSTM", "GRU")
    def test_stack_equals_plain_loops(self, kind):
        options = {"recurrent_initializer": "glorot_uniform"}
        model = _model(kind, **options)
        inputs = _inputs()
        step = _step(model, training=True)
        self.assertGreater(_num_compiled(step, inputs), 0)
        plain = _step(model, training=False)
        self.assertEqual(_num_compiled(plain, inputs), 0)
        self.assert_same(step(inputs), plain(inputs))

    @parameterized.parameters(*_short("GRU", "LSTM", "SimpleRNN"))
    def test_wide_layers_of_any_length(self, kind):
        model = _model(kind, 256, recurrent_initializer="glorot_uniform")
        signature = [tf.TensorSpec([None, None, 5])]
        step = _step(model, True, signature)
        for batch, steps in ((33, 7), (2, 3)):
            inputs = _inputs(batch)[:, :steps]
            self.assertGreater(_num_compiled(step, inputs), 0)
            plain = _step(model, training=False)
            self.assert_same(step(inputs), plain(inputs))

    @parameterized.parameters(*_short("LSTM", "GRU", "SimpleRNN"))
    def test_narrow_products(self, kind):
        options = {"recurrent_initializer": "glorot_uniform"}
        inputs = _inputs()
        exact = _step(_model(kind, **options), False)(inputs)
        options["dtype"] = keras.DTypePolicy("mixed_bfloat16")
        model = _model(kind, **options)
        for training in (False, True):
            step = _step(model, training)
            self.assertEqual(_num_compiled(step, inputs) > 0, training)
            for value, oracle in zip(
                tf.nest.flatten(step(inputs)),
                tf.nest.flatten(exact),
                strict=True,
            ):
                error = tf.norm(tf.cast(value, tf.float32) - oracle)
                self.assertLess(float(error / tf.norm(oracle)), 0.02)

    def test_mask_and_direction(self):
        model = _model("LSTM", go_backwards=True)
        mask = np.random.default_rng(1).random((_BATCH, _STEPS)) < 0.7

        def outputs(training):
            @tf.function(autograph=False)
            def call(inputs):
                first, second = model.layers
                hidden = first(
                    inputs, mask=tf.constant(mask), training=training
                )
                return second(hidden, training=training)

            return call(_inputs())

        self.assert_same(outputs(True), outputs(False))

    def test_batch_of_unknown_size(self):
        model = _model("GRU")
        signature = [tf.TensorSpec([None, _STEPS, 5])]
        step, plain = (
            _step(model, training, signature) for training in (True, False)
        )
        for batch in (1, 2, 33):
            inputs = _inputs(batch)
            self.assert_same(step(inputs), plain(inputs))

    @parameterized.parameters(*_cores_and_rows())
    def test_more_cores(self, cores, rows):
        """Parts without rows are among them: five rows are cut in eight."""
        model = _model("SimpleRNN", recurrent_initializer="glorot_uniform")
        inputs = _inputs(rows)
        with mock.patch.object(
            tf.config.threading,
            "get_inter_op_parallelism_threads",
            return_value=cores,
        ):
            for known in (None, rows):
                signature = [tf.TensorSpec([known, _STEPS, 5])]
                step = _step(model, True, signature)
                plain = _step(model, False, signature)
                self.assert_same(step(inputs), plain(inputs))

    @parameterized.parameters(
        (50, 2, 2), (50, 1, 1), (50, 16, 3), (31, 2, 1), (1, 64, 1),
        (1024, 64, 64), (None, 2, 2), (None, 4, 4), (None, 64, 8),
    )  # fmt: skip
    def test_number_of_parts(self, rows, cores, parts):
        self.assertEqual(batch_parts.number_of_parts(rows, cores), parts)

    @parameterized.parameters(*itertools.product(_KINDS, (None, _BATCH, 65)))
    def test_prediction_in_parts(self, kind, known):
        """What is exported, for a batch of unknown size, has one part."""
        model = _model(kind)
        inputs = _inputs(known or _BATCH)
        with mock.patch.object(
            tf.config.threading,
            "get_inter_op_parallelism_threads",
            return_value=2,
        ):
            predict = tf.function(
                model, [tf.TensorSpec([known, _STEPS, 5])], autograph=False
            ).get_concrete_function()
        types = [operation.type for operation in predict.graph.get_operations()]
        loops = types.count("While") + types.count("StatelessWhile")
        self.assertEqual(loops, len(model.layers) * (1 + (known == 65)))
        self.assertAllClose(predict(inputs), model(inputs), atol=1e-6)

    def test_fit_compiles_and_learns(self):
        model = _model("LSTM")
        model.compile("adam", "mse")
        inputs = _inputs(40)
        targets = tf.zeros([40, _STEPS, _UNITS])
        history = model.fit(
            inputs, targets, batch_size=32, epochs=3, verbose=0
        ).history["loss"]
        self.assertLess(history[-1], history[0])

    def test_no_compiled_function_inside_a_compiled_one(self):
        seen = []

        @tf.function(jit_compile=True, autograph=False)
        def step(value):
            seen.append(engine.compiles_here())
            return value

        step(tf.zeros([1]))
        self.assertEqual(seen, [False])


class LossGradientTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ("simple_rnn", 64), ("lstm", 64), ("gru", 64), ("lstm", 256)
    )
    def test_parts_equal_the_whole_with_dropout(self, cell, units):
        config = ModelConfig(
            vocabulary_size=11,
            cell=cell,
            units=units,
            dropout=0.3,
            recurrent_kernel_dropout=0.3,
            dropout_warmup_steps=9,
        )
        layout, weights = initial_weights(config, seed=1)
        generator = np.random.default_rng(2)
        ids = generator.integers(0, 11, (2, _BATCH, 30)).astype("int32")
        states = [
            tf.constant(generator.normal(size=(_BATCH, n)), tf.float32)
            for n in state_sizes(config)
        ]
        key = tf.constant([7, 5, 3], tf.int64)
        results = {}
        for jit_compile in ("off", "on", "auto"):
            function = tf.function(
                make_loss_gradient(config, layout, jit_compile), autograph=False
            )
            results[jit_compile] = function(
                tf.constant(weights), *ids, states, key
            )
        for jit_compile in ("on", "auto"):
            for actual, expected in zip(
                tf.nest.flatten(results[jit_compile]),
                tf.nest.flatten(results["off"]),
                strict=True,
            ):
                scale = max(1.0, float(tf.reduce_max(tf.abs(expected))))
                self.assertAllClose(actual / scale, expected / scale, 0, 1e-4)

    def test_nothing_of_it_stays(self):
        config = ModelConfig(vocabulary_size=5, cell="lstm", units=3)
        layout, _ = initial_weights(config, seed=1)
        before = _num_functions()
        for jit_compile in ("off", "on", "auto") * 3:
            make_loss_gradient(config, layout, jit_compile)
        self.assertEqual(_num_functions(), before)

    @parameterized.parameters(*_short("gru", "lstm", "simple_rnn"))
    def test_narrow_products(self, cell):
        gradients = {}
        for policy in ("float32", "mixed_bfloat16"):
            config = ModelConfig(
                vocabulary_size=11, cell=cell, units=64, dtype_policy=policy
            )
            layout, weights = initial_weights(config, seed=1)
            generator = np.random.default_rng(2)
            ids = generator.integers(0, 11, (2, _BATCH, 30)).astype("int32")
            states = [tf.zeros([_BATCH, n]) for n in state_sizes(config)]
            function = tf.function(
                make_loss_gradient(config, layout, "auto"), autograph=False
            )
            _, _, gradient, _ = function(
                tf.constant(weights), *ids, states, tf.zeros([3], tf.int64)
            )
            gradients[policy] = layout.unpack(gradient.numpy())
        for name, exact in gradients["float32"].items():
            error = gradients["mixed_bfloat16"][name] - exact
            share = np.linalg.norm(error) / np.linalg.norm(exact)
            self.assertLess(share, 0.02, name)


if __name__ == "__main__":
    tf.test.main()
