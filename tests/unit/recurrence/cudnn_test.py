"""When cuDNN's loops are taken, and what graphs they make.

There need be no GPU here: the graphs are built and looked at, but not run.
"""

import contextlib
import itertools
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.covering_rows import covering

from kerasrnn import layers
from kerasrnn.config import ModelConfig
from kerasrnn.layers.kinds import kind_of
from kerasrnn.recurrence import cudnn
from kerasrnn.recurrence.step import LayerWeights
from kerasrnn.recurrence.step import split_bias
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.gradients import make_loss_gradient

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6
KINDS = ("LSTM", "GRU")
CELLS = {kind: kind_of(kind.lower()).step for kind in KINDS}
# Operations of a loop in the graph, which ours is.
_WHILE = {"While", "StatelessWhile"}


def _random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def _sees_a_gpu():
    """Has the decisions made as on a machine with a GPU."""
    stack = contextlib.ExitStack()
    devices = tf.config.list_logical_devices

    def with_gpu(kind=None):
        found = devices(kind)
        return found or [tf.config.LogicalDevice("/device:GPU:0", "GPU")]

    for target, name, value in (
        (tf.config, "list_logical_devices", with_gpu),
        (tf.sysconfig, "get_build_info", lambda: {"is_cuda_build": True}),
        (cudnn, "agrees_here", lambda step: True),
    ):
        stack.enter_context(mock.patch.object(target, name, value))
    return stack


def _layer(kind, **options):
    layer = getattr(layers, kind)(UNITS, return_sequences=True, **options)
    layer.build((BATCH, STEPS, FEATURES))
    return layer


def _loop(kind, inputs, kernel, recurrent_kernel, bias, *rest):
    """CuDNN's loop with the weights of a layer."""
    weights = LayerWeights(kernel, recurrent_kernel, *split_bias(bias))
    return cudnn.loop(CELLS[kind].cudnn, inputs, weights, *rest)


def _graph(function, *shapes, jit_compile=False):
    specifications = [tf.TensorSpec(shape, dtype) for shape, dtype in shapes]
    return (
        tf.function(function, jit_compile=jit_compile, autograph=False)
        .get_concrete_function(*specifications)
        .graph
    )


def _op_types(graph):
    """Types of the operations, those of called functions included."""
    definition = graph.as_graph_def()
    nodes = list(definition.node)
    for function in definition.library.function:
        nodes += function.node_def
    return {node.op for node in nodes}


class GraphTest(parameterized.TestCase):
    @parameterized.parameters(
        *covering(
            itertools.product(
                KINDS,
                (False, True),
                ("float16", "bfloat16", "float32", "float64"),
                ((STEPS, BATCH), (None, None)),
            )
        )
    )
    def test_shapes_of_values_and_gradients(self, kind, padded, dtype, sizes):
        layer = _layer(kind)
        steps, batch = sizes
        count = 2 if kind == "LSTM" else 1

        def run(inputs, *rest):
            tensors = [inputs, *rest]
            lengths = tensors.pop() if padded else None
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                outputs, final = _loop(kind, *tensors[:4], tensors[4:], lengths)
            self.assertEqual(outputs.shape, [steps, batch, UNITS])
            for state in final:
                self.assertEqual(state.shape, [batch, UNITS])
            values = [outputs, *final]
            gradients = tape.gradient(values, tensors)
            for gradient, tensor in zip(gradients, tensors, strict=True):
                self.assertEqual(gradient.dtype, tensor.dtype)
                self.assertTrue(gradient.shape.is_compatible_with(tensor.shape))
            return gradients

        shapes = [((steps, batch, FEATURES), dtype)]
        shapes += [(tuple(w.shape), dtype) for w in layer.weights[:3]]
        shapes += [((batch, UNITS), dtype)] * count
        if padded:
            shapes.append(((batch,), tf.int32))
        types = _op_types(_graph(run, *shapes))
        self.assertContainsSubset({"CudnnRNNV3", "CudnnRNNBackpropV3"}, types)

    @parameterized.parameters(*KINDS)
    def test_second_derivative_is_refused(self, kind):
        weights = [tf.cast(w.value, tf.float32) for w in _layer(kind).weights]
        states = [tf.zeros([BATCH, UNITS])] * (2 if kind == "LSTM" else 1)

        def twice(inputs):
            with tf.GradientTape() as outer:
                outer.watch(inputs)
                with tf.GradientTape() as inner:
                    inner.watch(inputs)
                    outputs, _ = _loop(kind, inputs, *weights[:3], states)
                gradient = inner.gradient(outputs, inputs)
            return outer.gradient(gradient, inputs)

        with self.assertRaisesRegex(
            NotImplementedError, "second derivative.*use_cudnn=False"
        ):
            _graph(twice, ((STEPS, BATCH, FEATURES), tf.float32))


# Options, and whether cuDNN trains the layer with them.
DECISIONS = (
    ({}, True),
    ({"use_cudnn": False}, False),
    ({"use_cudnn": True}, True),
    ({"use_bias": False}, True),
    ({"dropout": 0.3}, True),
    ({"go_backwards": True}, True),
    ({"dtype": "mixed_bfloat16"}, True),
    ({"return_state": True}, True),
    ({"unroll": True}, False),
    ({"activation": "relu"}, False),
    ({"recurrent_activation": "hard_sigmoid"}, False),
    ({"recurrent_dropout": 0.3}, False),
    ({"implementation": 1}, True),
    ({"implementation": 1, "dropout": 0.3}, False),
)


class DecisionTest(parameterized.TestCase):
    def types(self, layer, *, training=True, masked=False, jit_compile=False):
        def run(inputs, *mask):
            variables = [v.value for v in layer.trainable_variables]
            with tf.GradientTape() as tape:
                outputs = layer(
                    inputs, training=training, mask=mask[0] if mask else None
                )
                outputs = tf.nest.flatten(outputs)
            return tape.gradient(outputs, variables)

        shapes = [((BATCH, STEPS, FEATURES), tf.float32)]
        if masked:
            shapes.append(((BATCH, STEPS), tf.bool))
        return _op_types(_graph(run, *shapes, jit_compile=jit_compile))

    @parameterized.parameters(
        *((kind, *decision) for kind in KINDS for decision in DECISIONS)
    )
    def test_by_options(self, kind, options, taken):
        with _sees_a_gpu():
            layer = _layer(kind, **options)
            types = self.types(layer)
            self.assertEqual("CudnnRNNV3" in types, taken)
            self.assertEqual("CudnnRNNBackpropV3" in types, taken)
            self.assertEqual(layer.supports_jit, not taken)
            # Only training takes it, so no export holds it.
            types = self.types(layer, training=False)
            self.assertNotIn("CudnnRNNV3", types)

    def test_not_with_the_reset_before_the_product(self):
        with _sees_a_gpu():
            layer = _layer("GRU", reset_after=False)
            self.assertNotIn("CudnnRNNV3", self.types(layer))

    @parameterized.parameters(*KINDS)
    def test_not_without_a_gpu(self, kind):
        if tf.config.list_logical_devices("GPU"):
            self.skipTest("there is a GPU here")
        layer = _layer(kind)
        self.assertNotIn("CudnnRNNV3", self.types(layer))
        self.assertTrue(layer.supports_jit)
        layer = _layer(kind, use_cudnn=True)
        with self.assertRaisesRegex(
            ValueError, "use_cudnn=True.*sees no GPU.*use_cudnn='auto'"
        ):
            layer(np.zeros((BATCH, STEPS, FEATURES)))

    @parameterized.parameters(*KINDS)
    def test_not_under_xla(self, kind):
        with _sees_a_gpu():
            types = self.types(_layer(kind), jit_compile=True)
            self.assertNotIn("CudnnRNNV3", types)
            layer = _layer(kind, use_cudnn=True)
            with self.assertRaisesRegex(ValueError, "compiled with XLA"):
                self.types(layer, jit_compile=True)

    @parameterized.parameters(*KINDS)
    def test_true_is_refused_with_options_that_do_not_fit(self, kind):
        with _sees_a_gpu():
            layer = _layer(kind, use_cudnn=True, activation="relu")
            with self.assertRaisesRegex(
                ValueError, "use_cudnn=True.*no activations but tanh"
            ):
                self.types(layer)

    @parameterized.parameters(*KINDS)
    def test_masks_choose_when_they_are_known(self, kind):
        with _sees_a_gpu():
            types = self.types(_layer(kind), masked=True)
            self.assertIn("CudnnRNNV3", types)
            self.assertTrue(_WHILE & types)
            self.assertTrue({"If", "StatelessIf"} & types)
            types = self.types(_layer(kind, use_cudnn=True), masked=True)
            self.assertContainsSubset({"CudnnRNNV3", "Assert"}, types)
            self.assertFalse(_WHILE & types)

    @parameterized.parameters(*KINDS)
    def test_other_masks_take_our_loop(self, kind):
        # Eagerly the choice is made at once, and it is the loop that runs
        # here: with the same result as where there is no GPU.
        inputs = _random(BATCH, STEPS, FEATURES).astype("float32")
        mask = np.array([[1, 0, 1, 1, 0], [0] * 5, [0, 0, 0, 1, 1]], bool)
        layer = _layer(kind)
        expected = layer(inputs, mask=mask, training=True)
        with _sees_a_gpu():
            actual = layer(inputs, mask=mask, training=True)
            np.testing.assert_array_equal(actual, expected)
            layer = _layer(kind, use_cudnn=True)
            with self.assertRaisesRegex(
                tf.errors.InvalidArgumentError, "right-padded"
            ):
                layer(inputs, mask=mask, training=True)

    @parameterized.parameters(
        ("lstm", True, "auto"),
        ("gru", True, "auto"),
        ("simple_rnn", False, "auto"),
        ("lstm", False, "on"),
        ("lstm", False, "off"),
    )
    def test_of_the_trainer(self, cell, taken, jit_compile):
        config = ModelConfig(
            vocabulary_size=9, cell=cell, units=UNITS, dropout=0.2
        )
        layout, weights = initial_weights(config, seed=0)
        gradient = make_loss_gradient(config, layout, jit_compile)

        def step(inputs, key, *states):
            return gradient(
                tf.constant(weights), inputs, inputs, list(states), key
            )

        states = 4 if cell == "lstm" else 2
        shapes = [
            ((BATCH, STEPS), tf.int32),
            ((3,), tf.int64),
            *[((BATCH, UNITS), tf.float32)] * states,
        ]
        with _sees_a_gpu():
            types = _op_types(_graph(step, *shapes))
        self.assertEqual("CudnnRNNBackpropV3" in types, taken)


if __name__ == "__main__":
    absltest.main()
