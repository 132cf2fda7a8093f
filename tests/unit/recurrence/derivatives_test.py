"""Derivatives beyond the first are those that Keras' layers have.

Second and third derivatives, those in forward mode and Jacobians, of layers
on their fast path, against Keras' layer of the same weights.
"""

import itertools
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from helpers.full_counts import FULL

import kerasrnn.layers
from kerasrnn.recurrence import reader
from kerasrnn.recurrence.engine import COMPILED_LOOPS
from kerasrnn.recurrence.engine import COMPILED_STEPS
from kerasrnn.recurrence.engine import TILED_STEPS

BATCH, STEPS, FEATURES, UNITS = 3, 4, 5, 3
LAYERS = ("SimpleRNN", "LSTM", "GRU")
OPTIONS = {
    "default": {},
    "all outputs": {"return_sequences": True},
    "backwards": {"go_backwards": True},
    "no bias": {"use_bias": False},
}


def _eagerly(function):
    return function


def _compiled(function):
    return tf.function(function, jit_compile=True, autograph=False)


def _gradient(function, inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = function(inputs)
    return tape.gradient(values, inputs)


def _penalty(layer, mask, inputs, direction):
    """A gradient penalty, and what it teaches the weights."""
    variables = [weight.value for weight in layer.trainable_variables]
    with tf.GradientTape() as tape:
        gradient = _gradient(lambda inputs: _loss(layer, mask, inputs), inputs)
        penalty = tf.reduce_sum(gradient**2 * direction)
    return [penalty, *tape.gradient(penalty, variables)]


def _second(layer, mask, inputs, direction):
    """The Hessian's product with a direction, backwards twice."""

    def along(inputs):
        gradient = _gradient(lambda inputs: _loss(layer, mask, inputs), inputs)
        return tf.reduce_sum(gradient * direction)

    return [_gradient(along, inputs)]


def _third(layer, mask, inputs, direction):
    def along(inputs):
        (second,) = _second(layer, mask, inputs, direction)
        return tf.reduce_sum(second * direction)

    return [_gradient(along, inputs)]


def _forward(layer, mask, inputs, direction):
    """First derivatives along a direction, of the inputs and the weights."""
    with tf.autodiff.ForwardAccumulator(inputs, direction) as accumulator:
        outputs = layer(inputs, mask=mask, training=True)
    kernel = layer.cell.recurrent_kernel.value
    with tf.autodiff.ForwardAccumulator(
        kernel, tf.ones_like(kernel)
    ) as by_kernel:
        again = layer(inputs, mask=mask, training=True)
    return [outputs, accumulator.jvp(outputs), by_kernel.jvp(again)]


def _forward_over_backward(layer, mask, inputs, direction):
    """The Hessian's product with a direction, forwards once."""
    with tf.autodiff.ForwardAccumulator(inputs, direction) as accumulator:
        gradient = _gradient(lambda inputs: _loss(layer, mask, inputs), inputs)
    return [accumulator.jvp(gradient)]


def _jacobian(layer, mask, inputs, direction):
    del direction
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        outputs = layer(inputs, mask=mask, training=True)
    return [
        tape.jacobian(outputs, inputs),
        tape.jacobian(outputs, layer.cell.kernel.value),
    ]


def _hessian(layer, mask, inputs, direction):
    del direction
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        gradient = _gradient(lambda inputs: _loss(layer, mask, inputs), inputs)
    return [tape.jacobian(gradient, inputs)]


def _loss(layer, mask, inputs):
    return tf.reduce_sum(layer(inputs, mask=mask, training=True) ** 3)


DERIVATIVES = (
    _penalty,
    _second,
    _third,
    _forward,
    _forward_over_backward,
    _jacobian,
    _hessian,
)


def _pair(name, dtype="float64", **options):
    """Keras' layer and ours, with the same random weights."""
    plain = {} if name == "SimpleRNN" else {"use_cudnn": False}
    theirs = getattr(keras.layers, name)(UNITS, dtype=dtype, **options, **plain)
    ours = getattr(kerasrnn.layers, name)(UNITS, dtype=dtype, **options)
    random = np.random.default_rng(0)
    for layer in (theirs, ours):
        layer.build((BATCH, STEPS, FEATURES))
    weights = [random.normal(size=w.shape) for w in theirs.get_weights()]
    for layer in (theirs, ours):
        layer.set_weights(weights)
    return theirs, ours


def _random(seed, dtype="float64"):
    random = np.random.default_rng(seed)
    shape = (BATCH, STEPS, FEATURES)
    return tf.constant(random.normal(size=shape), dtype)


def _short(rows, turns):
    """Every row, or in the short form each of `turns`."""
    return [row for n, row in enumerate(rows) if FULL or n % turns == 0]


def _table():
    """Each derivative of each layer; the rest changes from row to row."""
    ways = itertools.cycle(
        itertools.product((_eagerly, tf.function), (False, True), OPTIONS)
    )
    rows = itertools.product(DERIVATIVES, LAYERS)
    if not FULL:
        rows = zip(DERIVATIVES, itertools.cycle(LAYERS), strict=False)
    for derivative, name in rows:
        for _ in range(16 if FULL else 1):
            run, masked, options = next(ways)
            if derivative is _hessian:
                # In a graph TensorFlow has none, for Keras' loop neither.
                run = _eagerly
            yield derivative, name, run, masked, options
        for _ in range(4):
            next(ways)


class LayerTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*_table())
    def test_equals_keras(self, derivative, name, run, masked, options):
        mask = np.random.default_rng(3).random((BATCH, STEPS)) < 0.7
        mask = tf.constant(mask) if masked else None
        theirs, ours = _pair(name, **OPTIONS[options])
        # In a graph TensorFlow has no forward mode for Keras' loop.
        expected = derivative(theirs, mask, _random(1), _random(2))
        actual = run(lambda *tensors: derivative(ours, mask, *tensors))(
            _random(1), _random(2)
        )
        self.assertAllClose(actual, expected, rtol=1e-9, atol=1e-9)

    @parameterized.parameters(
        *_short(
            itertools.product(
                LAYERS, (COMPILED_STEPS, TILED_STEPS, COMPILED_LOOPS)
            ),
            4,
        )
    )
    def test_of_compiled_parts(self, name, engine):
        theirs, ours = _pair(name)
        derivatives = dict(
            zip(LAYERS, (_penalty, _forward, _jacobian), strict=True)
        )
        for derivative in derivatives.values() if FULL else [derivatives[name]]:
            expected = derivative(theirs, None, _random(1), _random(2))
            with mock.patch.object(reader, "choose_engine", lambda *_: engine):
                actual = tf.function(
                    lambda *tensors, d=derivative: d(ours, None, *tensors),
                    autograph=False,
                )(_random(1), _random(2))
            self.assertAllClose(actual, expected, rtol=1e-9, atol=1e-9)

    @parameterized.parameters(*_short([["LSTM"], ["GRU"], ["SimpleRNN"]], 3))
    def test_compiled_as_a_whole(self, name):
        theirs, ours = _pair(name)
        expected = _penalty(theirs, None, _random(1), _random(2))
        actual = _compiled(lambda *tensors: _penalty(ours, None, *tensors))(
            _random(1), _random(2)
        )
        self.assertAllClose(actual, expected, rtol=1e-9, atol=1e-9)

    @parameterized.parameters(*_short([["GRU"], ["LSTM"], ["SimpleRNN"]], 3))
    def test_of_a_function_that_knows_no_tape(self, name):
        """Differentiated from outside, of unknown length and batch."""
        results = []
        for layer in _pair(name):

            @tf.function(
                input_signature=[tf.TensorSpec([None, None, 5], "double")],
                autograph=False,
            )
            def loss(inputs, layer=layer):
                return _loss(layer, None, inputs)

            def along(inputs, loss=loss):
                return tf.reduce_sum(_gradient(loss, inputs) * _random(2))

            results.append(_gradient(along, _random(1)))
        self.assertAllClose(results[1], results[0], rtol=1e-9, atol=1e-9)

    @parameterized.product(name=LAYERS, training=(False, True))
    def test_with_respect_to_what_is_between_two_layers(self, name, training):
        build = getattr(kerasrnn.layers, name)
        first = build(UNITS, return_sequences=True, dtype="float64")
        second = build(UNITS, dtype="float64")

        def derivative(inputs):
            with tf.GradientTape() as tape:
                hidden = first(inputs, training=training)
                loss = tf.reduce_sum(second(hidden, training=training) ** 2)
            return tape.gradient(loss, hidden)

        expected = derivative(_random(1))
        found = tf.function(derivative, autograph=False)(_random(1))
        self.assertAllClose(found, expected, rtol=1e-9, atol=1e-9)

    @parameterized.parameters(*_short([["LSTM"], ["GRU"], ["SimpleRNN"]], 3))
    def test_narrow_products(self, name):
        exact = _pair(name, "float32")[1]
        narrow = _pair(name, keras.DTypePolicy("mixed_bfloat16"))[1]
        inputs, direction = _random(1, "float32"), _random(2, "float32")
        for derivative in (_second, _forward):
            for value, oracle in zip(
                derivative(narrow, None, inputs, direction),
                derivative(exact, None, inputs, direction),
                strict=True,
            ):
                error = tf.norm(tf.cast(value, tf.float32) - oracle)
                self.assertLess(float(error / tf.norm(oracle)), 0.1)


if __name__ == "__main__":
    tf.test.main()
