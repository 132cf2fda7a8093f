"""What is skipped between layers changes no value and hides no gradient."""

import itertools
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from helpers.full_counts import FULL

import kerasrnn.layers
from kerasrnn.recurrence import time_chunks
from kerasrnn.recurrence.graph_shortcuts import cut
from kerasrnn.recurrence.graph_shortcuts import join
from kerasrnn.recurrence.graph_shortcuts import time_major

LAYERS = ("SimpleRNN", "LSTM", "GRU")
UNITS = 64
# Rows, steps: one part; two parts; two parts, each in two stretches.
SHAPES = {"one part": (3, 4), "parts": (41, 30), "stretches": (34, 251)}


@tf.custom_gradient
def _reversed(value):
    return tf.identity(value), lambda upstream: -2.0 * upstream


BETWEEN = {
    "nothing": lambda hidden: hidden,
    "identity": tf.identity,
    "transposed twice": lambda hidden: time_major(time_major(hidden)),
    "a gradient of its own": _reversed,
    "no gradient": tf.stop_gradient,
}


def _random(*shape):
    generator = np.random.default_rng(sum(shape))
    return tf.constant(generator.normal(size=shape), tf.float32)


def _gradients(tape, loss, sources):
    zero = tf.UnconnectedGradients.ZERO
    found = tape.gradient(loss, sources, unconnected_gradients=zero)
    return [tf.convert_to_tensor(gradient) for gradient in found]


def _operations_behind(tensors):
    """The operations of a graph that these tensors are computed by."""
    found, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
            waiting += operation.control_inputs
    return found


class LayersTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.enter_context(mock.patch.object(time_chunks, "MIN_NUMBERS", 1))
        self.enter_context(
            mock.patch.object(
                tf.config.threading,
                "get_inter_op_parallelism_threads",
                return_value=2,
            )
        )

    def layers(self, name, inputs):
        build = getattr(kerasrnn.layers, name)
        first = build(UNITS, return_sequences=True)
        second = build(UNITS, return_sequences=True)
        second(first(inputs[:1, :1]))
        return first, second

    @parameterized.parameters(
        *(
            case
            for turn, case in enumerate(
                itertools.product(LAYERS, BETWEEN, SHAPES)
            )
            if FULL or turn % 4 == 0
        )
    )
    def test_gradients_are_those_of_eager_execution(self, name, between, shape):
        rows, steps = SHAPES[shape]
        inputs = _random(rows, steps, 5)
        first, second = self.layers(name, inputs)
        weights = first.trainable_variables + second.trainable_variables

        def derivatives(inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                hidden = first(inputs, training=True)
                passed = BETWEEN[between](hidden)
                outputs = second(passed, training=True)
                loss = tf.reduce_sum(tf.sin(outputs)) / steps
                # Rows that are picked have a gradient of slices.
                loss += tf.reduce_sum(tf.gather(hidden, [2, 0, 2]) ** 2)
            sources = [hidden, passed, outputs, inputs]
            sources += [weight.value for weight in weights]
            return _gradients(tape, loss, sources)

        found = tf.function(derivatives, autograph=False)(inputs)
        for value, oracle in zip(found, derivatives(inputs), strict=True):
            scale = float(tf.reduce_max(tf.abs(oracle))) or 1.0
            self.assertAllClose(value / scale, oracle / scale, 0, 2e-5)

    @parameterized.product(name=LAYERS, shape=tuple(SHAPES))
    def test_what_is_between_is_computed_for_nobody(self, name, shape):
        """Neither the loss nor a gradient waits for all parts of it."""
        rows, steps = SHAPES[shape]
        first, second = self.layers(name, _random(rows, steps, 5))
        between = []

        @tf.function(autograph=False)
        def gradients(inputs):
            with tf.GradientTape() as tape:
                hidden = first(inputs, training=True)
                between.append(hidden)
                outputs = second(hidden, training=True)
                loss = tf.reduce_sum(outputs**2)
            sources = [weight.value for weight in first.trainable_variables]
            found = tape.gradient(loss, [hidden, *sources])
            between.append(found[0])
            return [loss, *found[1:]]

        graph = gradients.get_concrete_function(_random(rows, steps, 5)).graph
        needed = _operations_behind(graph.outputs)
        joined = [
            operation
            for operation in needed
            if operation.type == "ConcatV2"
            and operation.outputs[0].shape[2:] == [UNITS]
        ]
        # The outputs of the second layer, which the loss is made of.
        joins = {"one part": 0, "parts": 1, "stretches": 1 + 2}
        self.assertLen(joined, joins[shape])
        for tensor in between:
            self.assertNotIn(tensor.op, needed)


class RandomGraphsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*range(200 if FULL else 40))
    def test_values_and_gradients_of_chains(self, seed):
        """Chains of cuts, joins and turns, with other operations between."""
        operations = ["join", "turn", "identity", "sine", "gather"]
        generator = np.random.default_rng(seed)
        chain = generator.choice(operations, 9, p=[0.3, 0.4, 0.1, 0.1, 0.1])
        shares = generator.integers(1, 5, [len(chain), 3])
        values = _random(6, 4, 2)

        def results(values):
            steps = [values]
            with tf.GradientTape(persistent=True) as outer:
                outer.watch(values)
                with tf.GradientTape() as tape:
                    tape.watch(values)
                    for operation, rows in zip(chain, shares, strict=True):
                        steps += _applied(operation, rows, steps[-1])
                    loss = tf.reduce_sum(tf.sin(steps[-1] * 1.5) ** 2)
                gradients = _gradients(tape, loss, steps)
                penalty = tf.add_n([tf.reduce_sum(g**3) for g in gradients])
            return [*steps, *gradients, *_gradients(outer, penalty, [values])]

        found = tf.function(results, autograph=False)(values)
        for value, oracle in zip(found, results(values), strict=True):
            self.assertAllClose(value, oracle, 1e-4, 1e-4)

    def test_forward_mode(self):
        values, tangent = _random(6, 4, 2), _random(6, 4, 3)[..., :2]

        def along(values):
            with tf.autodiff.ForwardAccumulator(values, tangent) as forward:
                joined = join(cut(time_major(values**2), [1, 3]))
                results = cut(time_major(tf.sin(joined)), [2, 2, 2])
                results = [time_major(part) for part in results]
            return [forward.jvp(result) for result in results]

        found = tf.function(along, autograph=False)(values)
        self.assertAllClose(found, along(values))


def _applied(operation, shares, value):
    if operation == "turn":
        return [time_major(value)]
    if operation == "join":
        rows = value.shape[0]
        edges = np.cumsum(shares) * rows // np.sum(shares)
        parts = cut(value, [int(n) for n in np.diff([0, *edges])])
        return [*parts, join(parts)]
    if operation == "gather":
        return [tf.gather(value, [*range(1, value.shape[0]), 0])]
    return [tf.identity(value) if operation == "identity" else tf.sin(value)]


if __name__ == "__main__":
    tf.test.main()
