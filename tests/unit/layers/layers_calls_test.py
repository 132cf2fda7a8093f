"""Our layers and cells are called as Keras' are: names, ranks, graphs.

What Keras leaves to broadcasting counts, too: each shape of a state and of a
mask that Keras' layer takes is taken, with the same result.
"""

import inspect
import itertools
import re
import traceback
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

import kerasrnn
from kerasrnn import layers

BATCH, STEPS, FEATURES, UNITS = 4, 3, 5, 2
KINDS = ("SimpleRNN", "LSTM", "GRU")


def _random(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return tf.constant(values, tf.float32)


def _num_states(kind):
    return 2 if kind == "LSTM" else 1


def _pair(kind, shape=(BATCH, STEPS, FEATURES), **options):
    """Returns Keras' object and ours, built, with the same weights."""
    pair = [getattr(m, kind)(UNITS, **options) for m in (keras.layers, layers)]
    for layer in pair:
        layer.build(shape)
    weights = [
        _random(*weight.shape, seed=seed)
        for seed, weight in enumerate(pair[0].weights)
    ]
    for layer in pair:
        layer.set_weights(weights)
    return pair


def _arguments(function):
    """Returns names, kinds and defaults: Keras' have no annotations."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters]


class SignatureTest(parameterized.TestCase):
    @parameterized.parameters(
        *(name for kind in KINDS for name in (kind, f"{kind}Cell"))
    )
    def test_arguments_are_those_of_keras(self, name):
        theirs, ours = (getattr(m, name) for m in (keras.layers, layers))
        for method in ("__init__", "call", "get_initial_state"):
            self.assertEqual(
                _arguments(getattr(ours, method)),
                _arguments(getattr(theirs, method)),
                method,
            )

    @parameterized.parameters(
        *(name for kind in KINDS for name in (kind, f"{kind}Cell"))
    )
    def test_each_argument_is_documented(self, name):
        public = getattr(layers, name)
        (arguments,) = re.findall(
            r"\nArgs:\n(.*?)\n\nCall arguments:", inspect.getdoc(public), re.S
        )
        documented = re.findall(r"^    (\**\w+):", arguments, re.M)
        _, *parameters = inspect.signature(public.__init__).parameters.values()
        expected = [
            "**kwargs" if p.kind is p.VAR_KEYWORD else p.name
            for p in parameters
        ]
        self.assertEqual(documented, expected)

    @parameterized.parameters(*KINDS)
    def test_a_cell_takes_its_arguments_by_name(self, kind):
        pair = _pair(f"{kind}Cell", (BATCH, FEATURES))
        first = "sequence" if kind == "SimpleRNN" else "inputs"
        states = [_random(BATCH, UNITS)] * _num_states(kind)
        outputs = [
            cell(**{first: _random(BATCH, FEATURES)}, states=states)[0]
            for cell in pair
        ]
        np.testing.assert_allclose(*outputs, atol=1e-6)


def _result(layer, inputs, **arguments):
    """Outputs, and gradients of inputs and states; None if it raises."""
    states = arguments.get("initial_state") or []
    with tf.GradientTape() as tape:
        tape.watch([inputs, *states])
        try:
            outputs = layer(inputs, **arguments)
        except (ValueError, TypeError, tf.errors.OpError):
            return None
        loss = tf.reduce_sum(outputs * _random(*outputs.shape, seed=9))
    return [outputs, *tape.gradient(loss, [inputs, *states])]


class RankTest(parameterized.TestCase):
    """Where Keras has a result in eager mode, ours is the same."""

    @parameterized.product(
        kind=KINDS, options=({}, {"activation": "relu"}, {"unroll": True})
    )
    def test_states_and_masks(self, kind, options):
        theirs, ours = _pair(
            kind, return_sequences=True, go_backwards=True, **options
        )
        inputs = _random(BATCH, STEPS, FEATURES)
        taken = set()
        for state, mask in itertools.product(
            (None, (BATCH, UNITS), (1, UNITS), (1, 1), (UNITS,), (2, UNITS)),
            (None, (BATCH, STEPS), (BATCH, STEPS, 1)),
        ):
            arguments = {}
            if state:
                arguments["initial_state"] = [
                    _random(*state, seed=seed)
                    for seed in range(_num_states(kind))
                ]
            if mask:
                arguments["mask"] = _random(*mask, seed=3) > 0
            expected = _result(theirs, inputs, **arguments)
            if expected is None:
                continue
            taken.add((state, mask))
            actual = _result(ours, inputs, **arguments)
            self.assertIsNotNone(actual, (state, mask))
            for a, b in zip(actual, expected, strict=True):
                np.testing.assert_allclose(
                    a, b, atol=1e-5, err_msg=str((state, mask))
                )
        self.assertIn(((1, UNITS), (BATCH, STEPS, 1)), taken)


class GraphTest(parameterized.TestCase):
    @parameterized.parameters(*KINDS)
    def test_below_a_transpose_that_is_not_known(self, kind):
        theirs, ours = _pair(kind)

        @tf.function
        def run(inputs, order):
            transposed = tf.transpose(inputs, order)
            transposed.set_shape([BATCH, STEPS, FEATURES])
            return ours(transposed)

        inputs = _random(STEPS, BATCH, FEATURES)
        np.testing.assert_allclose(
            run(inputs, tf.constant([1, 0, 2])),
            theirs(tf.transpose(inputs, [1, 0, 2])),
            atol=1e-6,
        )

    @parameterized.product(kind=KINDS, training=(False, True))
    def test_states_put_together_of_an_unknown_batch(self, kind, training):
        theirs, ours = _pair(kind)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, STEPS, FEATURES]),
                tf.TensorSpec([2, UNITS]),
            ]
        )
        def run(inputs, half):
            states = [tf.concat([half, half], axis=0)] * _num_states(kind)
            return ours(inputs, initial_state=states, training=training)

        inputs, half = _random(BATCH, STEPS, FEATURES), _random(2, UNITS)
        states = [tf.concat([half, half], axis=0)] * _num_states(kind)
        np.testing.assert_allclose(
            run(inputs, half), theirs(inputs, initial_state=states), atol=1e-6
        )

    @parameterized.product(
        kind=("LSTM", "GRU"),
        options=(
            {"recurrent_dropout": 0.5},
            {"recurrent_dropout": 0.5, "dropout": 0.5},
            {"implementation": 1, "dropout": 0.5},
        ),
    )
    def test_dropout_costs_nothing_outside_training(self, kind, options):
        def operations(options, training=False):
            (_, layer) = _pair(kind, seed=1, **options)
            function = tf.function(lambda x: layer(x, training=training))
            specification = tf.TensorSpec([BATCH, STEPS, FEATURES])
            graph = function.get_concrete_function(specification).graph
            (loop,) = (o for o in graph.get_operations() if "While" in o.type)
            return [value.dtype for value in loop.inputs]

        self.assertEqual(operations(options), operations({}))
        self.assertNotEqual(operations(options, True), operations({}, True))


class PathTest(parameterized.TestCase):
    @parameterized.product(kind=KINDS, training=(False, True))
    def test_from_a_call_to_the_equations(self, kind, training):
        """Few calls of ours, in few files: a reader can follow them."""
        stacks = []
        step = getattr(layers, f"{kind}Cell").recurrent_step

        def forward(*arguments):
            stacks.append(traceback.extract_stack()[:-1])
            return step.forward(*arguments)

        cell = getattr(layers, f"{kind}Cell")
        spied = step._replace(forward=forward)
        with mock.patch.object(cell, "recurrent_step", spied):
            layer = getattr(layers, kind)(UNITS)
            with tf.GradientTape():
                layer(_random(BATCH, STEPS, FEATURES), training=training)
        package = str(Path(kerasrnn.__file__).parent)
        ours = [f for f in stacks[0] if f.filename.startswith(package)]
        # The last call and file, those of the equations, are not in the stack.
        self.assertLess(len(ours), 10, ours)
        self.assertLess(len({frame.filename for frame in ours}), 4, ours)


if __name__ == "__main__":
    absltest.main()
