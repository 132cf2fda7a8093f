"""Our layers and cells give what Keras' give, weights being the same.

Weights, inputs, states and upstream gradients are random, so that a gate out
of order shows. Compared are outputs, final states, and the gradients for the
inputs, the initial states and all weights.
"""

import functools
import itertools

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn import layers

BATCH, STEPS, FEATURES, UNITS = 3, 4, 5, 2
KINDS = ("SimpleRNN", "LSTM", "GRU")
MASKS = {
    "right_padded": [[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]],
    "first_masked": [[0, 1, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1]],
    "row_masked": [[0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]],
}
ANY_MASK = (None, *MASKS)


def _mask(name):
    return None if name is None else np.array(MASKS[name], bool)


def _num_states(kind):
    return 2 if kind == "LSTM" else 1


def _random(shape, seed, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def _set_random_weights(theirs, ours):
    weights = [
        _random(weight.shape, seed, weight.dtype)
        for seed, weight in enumerate(theirs.get_weights())
    ]
    theirs.set_weights(weights)
    ours.set_weights(weights)


def _pair(kind, units=UNITS, **options):
    """Returns Keras' layer and ours, built, with the same weights."""
    # On a GPU Keras would take cuDNN, which does not know all the options.
    plain = {} if kind == "SimpleRNN" else {"use_cudnn": False}
    # They are replaced below, and zeros are made the fastest.
    options |= {
        "kernel_initializer": "zeros",
        "recurrent_initializer": "zeros",
    }
    theirs = getattr(keras.layers, kind)(units, **options, **plain)
    ours = getattr(layers, kind)(units, **options)
    for layer in (theirs, ours):
        layer.build((BATCH, STEPS, FEATURES))
    _set_random_weights(theirs, ours)
    return theirs, ours


def _inputs(dtype="float32", shape=(BATCH, STEPS, FEATURES)):
    return tf.constant(_random(shape, 100, dtype))


def _states(count, dtype="float32"):
    return [
        tf.constant(_random((BATCH, UNITS), 200 + index, dtype))
        for index in range(count)
    ]


def _evaluate(layer, inputs, states=(), **arguments):
    """Calls a layer and differentiates a random sum of all its outputs.

    Returns:
        `(outputs, gradients)`, flat lists of tensors.
    """
    states = list(states)
    if states:
        arguments["initial_state"] = states
    weights = [weight.value for weight in layer.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch([inputs, *states])
        outputs = tf.nest.flatten(layer(inputs, **arguments))
        loss = 0.0
        for seed, output in enumerate(outputs):
            upstream = tf.constant(_random(output.shape, 300 + seed))
            upstream = tf.cast(upstream, output.dtype)
            loss += tf.cast(tf.reduce_sum(output * upstream), tf.float64)
    gradients = tape.gradient(
        loss,
        [inputs, *states, *weights],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return outputs, gradients


def _all(*alternatives):
    return list(itertools.product(*alternatives))


class ParityTestCase(parameterized.TestCase):
    def assert_same(self, theirs, ours, tolerance=1e-5):
        """Both are `(outputs, gradients)`."""
        for name, a, b in zip(
            ("outputs", "gradients"), theirs, ours, strict=True
        ):
            self.assertEqual(len(a), len(b), name)
            for index, (x, y) in enumerate(zip(a, b, strict=True)):
                self.assertEqual(x.dtype, y.dtype)
                np.testing.assert_allclose(
                    y.numpy().astype("float64"),
                    x.numpy().astype("float64"),
                    rtol=tolerance,
                    atol=tolerance,
                    err_msg=f"{name} {index}",
                )

    def check(self, kind, states=False, mask=None, training=False, **options):
        with self.subTest(states=states, mask=mask, **options):
            theirs, ours = _pair(kind, **options)
            dtype = options.get("dtype", "float32")
            inputs = _inputs(dtype)
            initial = _states(_num_states(kind) if states else 0, dtype)
            theirs, ours = (
                _evaluate(
                    layer, inputs, initial, mask=_mask(mask), training=training
                )
                for layer in (theirs, ours)
            )
            self.assert_same(
                theirs, ours, 1e-12 if dtype == "float64" else 1e-5
            )


class LayerTest(ParityTestCase):
    @parameterized.parameters(_all(KINDS, (False, True), (False, True)))
    def test_masks_and_directions(self, kind, go_backwards, return_sequences):
        for mask, states in _all(ANY_MASK, (False, True)):
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

    @parameterized.parameters(*KINDS)
    def test_zero_output_for_mask(self, kind):
        for mask, go_backwards, return_sequences in _all(
            ANY_MASK, (False, True), (False, True)
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
        for mask, go_backwards, zero in _all(
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
            _, looped = _pair(kind, **options)
            _, unrolled = _pair(kind, unroll=True, **options)
            self.assert_same(
                *(
                    _evaluate(layer, _inputs(), mask=_mask(mask))
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
        for options, mask, unroll in _all(
            alternatives, (None, "row_masked"), (False, True)
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
        _all(KINDS, ("mixed_bfloat16", "mixed_float16"), (None, "row_masked"))
    )
    def test_mixed_precision(self, kind, dtype, mask):
        options = {"return_sequences": True, "return_state": True}
        exact, _ = _pair(kind, **options)
        theirs, ours = _pair(kind, dtype=dtype, **options)
        exact, theirs, ours = (
            _evaluate(
                layer, _inputs(), _states(_num_states(kind)), mask=_mask(mask)
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
        ("SimpleRNN", 2), ("LSTM", 1), ("LSTM", 2), ("GRU", 1), ("GRU", 2)
    )
    def test_dropout(self, kind, implementation):
        for rates, mask in _all(
            (
                {"dropout": 0.4},
                {"recurrent_dropout": 0.4},
                {"dropout": 0.3, "recurrent_dropout": 0.3},
            ),
            (None, "row_masked"),
        ):
            self.check(
                kind,
                True,
                mask,
                training=True,
                **({"implementation": 1} if implementation == 1 else {}),
                unroll=mask is None,
                return_sequences=True,
                return_state=True,
                seed=7,
                **rates,
            )

    @parameterized.parameters(*KINDS)
    def test_dropout_draws_anew_each_call(self, kind):
        theirs, ours = _pair(kind, dropout=0.5, recurrent_dropout=0.5, seed=3)
        first, second = (
            [layer(_inputs(), training=True) for layer in (theirs, ours)]
            for _ in range(2)
        )
        np.testing.assert_allclose(*first, atol=1e-6)
        np.testing.assert_allclose(*second, atol=1e-6)
        self.assertNotAllClose(first[1], second[1])

    def assertNotAllClose(self, a, b):  # noqa: N802
        self.assertGreater(np.max(np.abs(a - b)), 1e-3)

    @parameterized.parameters(*KINDS)
    def test_dropout_is_off_outside_training(self, kind):
        self.check(kind, dropout=0.5, recurrent_dropout=0.5)
        if kind == "GRU":
            self.check(kind, recurrent_dropout=0.5, reset_after=False)

    @parameterized.parameters(_all(KINDS, (False, True), (None, "row_masked")))
    def test_stateful(self, kind, go_backwards, mask):
        pair = _pair(
            kind,
            stateful=True,
            go_backwards=go_backwards,
            return_sequences=True,
        )
        for call in range(3):
            inputs = _inputs() * (call + 1)
            self.assert_same(
                *(_evaluate(la, inputs, mask=_mask(mask)) for la in pair)
            )
        for a, b in zip(pair[0].states, pair[1].states, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
        for layer in pair:
            layer.reset_state()
            self.assertAllZero(layer.states)
        states = _states(_num_states(kind))
        self.assert_same(*(_evaluate(la, _inputs(), states) for la in pair))

    def assertAllZero(self, tensors):  # noqa: N802
        for tensor in tensors:
            np.testing.assert_array_equal(tensor, 0)

    @parameterized.parameters(_all(KINDS, (False, True)))
    def test_in_a_graph(self, kind, jit_compile):
        theirs, ours = _pair(kind, return_sequences=True, return_state=True)
        function = tf.function(
            lambda inputs, mask, *states: _evaluate(
                ours, inputs, states, mask=mask
            ),
            jit_compile=jit_compile,
        )
        states = _states(_num_states(kind))
        mask = _mask("row_masked")
        self.assert_same(
            _evaluate(theirs, _inputs(), states, mask=mask),
            function(_inputs(), tf.constant(mask), *states),
        )

    @parameterized.product(kind=KINDS, batch=(1, BATCH), masked=(False, True))
    def test_any_length_of_a_known_batch(self, kind, batch, masked):
        theirs, ours = _pair(kind, return_sequences=True)
        sequences = _random([batch, STEPS, FEATURES], 10)
        mask = np.array(MASKS["right_padded"], bool)[:batch]

        def run(layer, sequences, mask):
            return layer(sequences, mask=mask if masked else None)

        graph = tf.function(
            functools.partial(run, ours),
            input_signature=[
                tf.TensorSpec([batch, None, FEATURES]),
                tf.TensorSpec([batch, None], tf.bool),
            ],
        )
        np.testing.assert_allclose(
            graph(sequences, mask), run(theirs, sequences, mask), atol=1e-6
        )

    @parameterized.parameters(
        _all((("SimpleRNN", 256), ("LSTM", 128), ("GRU", 160)), (False, True))
    )
    def test_large_enough_to_be_compiled(self, kind_and_units, masked):
        kind, units = kind_and_units
        theirs, ours = _pair(
            kind, units, dropout=0.3, seed=1, return_sequences=True
        )
        for layer in (theirs, ours):
            layer.set_weights(
                [weight / units**0.5 for weight in layer.get_weights()]
            )
        inputs = _inputs(shape=(33, 8, FEATURES))
        arguments = {"training": True}
        if masked:
            arguments["mask"] = _random((33, 8), 5) > 0
        theirs, ours = (
            tf.function(_evaluate)(layer, inputs, **arguments)
            for layer in (theirs, ours)
        )
        self.assert_same(theirs, ours, 1e-4)

    @parameterized.parameters(
        _all(KINDS, (False, True), ("float32", "mixed_bfloat16"))
    )
    def test_integer_inputs(self, kind, unroll, dtype):
        theirs, ours = _pair(kind, unroll=unroll, dtype=dtype)
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
        theirs, ours = _pair(kind)
        (state,) = _states(1)
        np.testing.assert_allclose(
            theirs(_inputs(), initial_state=state),
            ours(_inputs(), initial_state=state),
            atol=1e-6,
        )

    @parameterized.parameters(*KINDS)
    def test_mask_of_a_masking_layer(self, kind):
        inputs = _inputs().numpy()
        inputs[~_mask("first_masked")] = 0.0
        models = [
            keras.Sequential([keras.layers.Masking(), layer])
            for layer in _pair(kind, return_sequences=True)
        ]
        self.assert_same(*(_evaluate(m, tf.constant(inputs)) for m in models))


class CellTest(ParityTestCase):
    def pair(self, kind, units=UNITS, **options):
        theirs = getattr(keras.layers, f"{kind}Cell")(units, **options)
        return theirs, getattr(layers, f"{kind}Cell")(units, **options)

    @parameterized.parameters(
        *_all(KINDS, ({}, {"use_bias": False})),
        ("LSTM", {"implementation": 1}),
        ("GRU", {"implementation": 1}),
        ("GRU", {"reset_after": False}),
    )
    def test_one_step(self, kind, options):
        pair = self.pair(kind, **options)
        inputs = tf.constant(_random((BATCH, FEATURES), 1))
        states = _states(_num_states(kind))
        for cell in pair:
            cell.build(inputs.shape)
        _set_random_weights(*pair)
        theirs, ours = (cell(inputs, states) for cell in pair)
        np.testing.assert_allclose(theirs[0], ours[0], atol=1e-6)
        for a, b in zip(theirs[1], ours[1], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    @parameterized.parameters(*KINDS)
    def test_dropout_of_one_step(self, kind):
        for options in ({"dropout": 0.5}, {"recurrent_dropout": 0.5}):
            pair = self.pair(kind, seed=11, **options)
            inputs = tf.constant(_random((BATCH, FEATURES), 1))
            states = _states(_num_states(kind))
            for cell in pair:
                cell.build(inputs.shape)
            _set_random_weights(*pair)
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
        _set_random_weights(*pair)
        self.assert_same(
            *(_evaluate(layer, _inputs(), **arguments) for layer in pair)
        )

    @parameterized.parameters(_all(KINDS, ANY_MASK))
    def test_in_keras_rnn(self, kind, mask):
        self.check_rnn(self.pair(kind), mask=_mask(mask))

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
            mask=_mask(mask),
        )


class WrapperTest(ParityTestCase):
    @parameterized.parameters(
        _all(KINDS, ("concat", "sum", "mul", "ave", None))
    )
    def test_bidirectional(self, kind, merge_mode):
        for mask, return_sequences in ((None, False), ("row_masked", True)):
            options = {
                "return_sequences": return_sequences,
                "return_state": return_sequences,
            }
            pair = [
                keras.layers.Bidirectional(layer, merge_mode=merge_mode)
                for layer in _pair(kind, **options)
            ]
            for wrapper in pair:
                wrapper.build((BATCH, STEPS, FEATURES))
            _set_random_weights(*pair)
            states = _states(2 * _num_states(kind))
            self.assert_same(
                *(
                    _evaluate(wrapper, _inputs(), states, mask=_mask(mask))
                    for wrapper in pair
                )
            )

    @parameterized.parameters(*KINDS)
    def test_time_distributed(self, kind):
        inputs = _inputs(shape=(2, 3, STEPS, FEATURES))
        self.assert_same(
            *(
                _evaluate(keras.layers.TimeDistributed(layer), inputs)
                for layer in _pair(kind)
            )
        )

    @parameterized.parameters(*KINDS)
    def test_a_stack_of_layers(self, kind):
        first = _pair(kind, FEATURES, return_sequences=True)
        second = _pair(kind)
        pair = [
            keras.Sequential(list(stack))
            for stack in zip(first, second, strict=True)
        ]
        self.assert_same(*(_evaluate(model, _inputs()) for model in pair))


if __name__ == "__main__":
    absltest.main()
