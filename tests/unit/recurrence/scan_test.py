"""The fast loops give what the plain loop gives, for all shapes and dtypes.

The oracle is TensorFlow's own differentiation of the plain loop over the
cells' steps. The gradients have a table of their own, in
`scan_gradient_test`.
"""

import itertools

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.covering_rows import covering
from helpers.models import scan_cases
from helpers.models.scan_cases import KINDS
from helpers.models.scan_cases import Case

from kerasrnn import layers
from kerasrnn.recurrence.engine import COMPILED_LOOPS
from kerasrnn.recurrence.engine import COMPILED_STEPS
from kerasrnn.recurrence.engine import PACKED
from kerasrnn.recurrence.engine import TILED_STEPS


class GradientTest(parameterized.TestCase):
    @parameterized.parameters(
        *covering(
            itertools.product(
                KINDS,
                (PACKED, COMPILED_STEPS, TILED_STEPS, COMPILED_LOOPS),
                scan_cases.TOLERANCE,
                (False, True),
                (False, True),
            ),
            together=3,
        )
    )
    def test_engines(self, kind, engine, dtype, masked, resetting):
        case = Case(
            kind,
            dtype=dtype,
            masked=masked,
            resetting=resetting,
            engine=engine,
            input_biased=engine.adds_biases,
        )
        scan_cases.check_against_plain(
            case,
            lambda function, *tensors: tf.function(function, autograph=False)(
                *tensors
            ),
        )

    @parameterized.parameters(*itertools.product(KINDS, (False, True)))
    def test_without_a_gradient(self, kind, masked):
        case = Case(kind, masked=masked, resetting=masked)
        count = len(case.weights)
        tensors = case.tensors()[1:]
        outputs, states = scan_cases.run_scan(
            kind,
            case.projected,
            tensors[:count],
            tensors[count:],
            case.mask,
            case.reset,
            differentiable=False,
        )
        expected = scan_cases.scan(case, *case.tensors())
        for value, oracle in zip([outputs, *states], expected, strict=True):
            np.testing.assert_array_equal(value, oracle)

    @parameterized.parameters(*KINDS)
    def test_without_a_tape_nothing_is_kept(self, kind):
        case = Case(kind, masked=True)
        function = tf.function(
            lambda *tensors: scan_cases.scan(case, *tensors), autograph=False
        )
        graph = function.get_concrete_function(*case.tensors()).graph
        (loop,) = (op for op in graph.get_operations() if "While" in op.type)
        arrays = [value for value in loop.outputs if value.dtype == tf.variant]
        self.assertLen(arrays, 1)  # the outputs
        # The graph is there; a tape comes now.
        expected = scan_cases.values_and_gradients(
            scan_cases.plain, case, case.tensors()
        )
        actual = scan_cases.values_and_gradients(
            lambda case, *tensors: function(*tensors), case, case.tensors()
        )
        self.assertEqual(function.experimental_get_tracing_count(), 1)
        for value, oracle in zip(
            tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
        ):
            np.testing.assert_allclose(value, oracle, atol=1e-9)

    @parameterized.parameters(*KINDS)
    def test_larger(self, kind):
        case = Case(
            kind,
            dtype="float32",
            masked=True,
            steps=40,
            batch=17,
            units=24,
        )
        # Weights of the size that layers have: the plain loop is chaotic
        # with larger ones, so that rounding would grow without bound.
        case.weights = [weight / 5 for weight in case.weights]
        scan_cases.check_against_plain(case)

    @parameterized.parameters(*itertools.product(KINDS, (1, 2), (1, 3)))
    def test_short_and_narrow(self, kind, steps, batch):
        case = Case(kind, steps=steps, batch=batch, units=1, masked=True)
        scan_cases.check_against_plain(case)

    @parameterized.parameters(*itertools.product(KINDS, (False, True)))
    def test_dynamic_steps_and_batch(self, kind, jit_compile):
        def specifications(tensors, dynamic):
            return [
                tf.TensorSpec([None] * dynamic + t.shape[dynamic:], t.dtype)
                for t in tensors
            ]

        def gradients(inputs, weights, states, upstream):
            """`inputs` are the projected inputs and the mask."""
            projected, mask = inputs
            watched = [projected, *weights, *states]
            with tf.GradientTape() as tape:
                tape.watch(watched)
                outputs, final = scan_cases.run_scan(
                    kind, projected, weights, states, mask
                )
            return tape.gradient([outputs, *final], watched, upstream)

        case = Case(kind, masked=True)
        function = tf.function(
            gradients,
            input_signature=[
                specifications([case.projected, case.mask], 2),
                specifications(case.weights, 0),
                specifications(case.states, 1),
                specifications(case.upstream[:1], 2)
                + specifications(case.upstream[1:], 1),
            ],
            jit_compile=jit_compile,
            autograph=False,
        )
        for steps, batch in ((6, 3), (1, 1), (9, 2)):
            case = Case(kind, steps=steps, batch=batch, masked=True)
            arguments = (
                [case.projected, case.mask],
                case.weights,
                case.states,
                case.upstream,
            )
            for a, b in zip(
                function(*arguments), gradients(*arguments), strict=True
            ):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        self.assertEqual(function.experimental_get_tracing_count(), 1)

    @parameterized.parameters(*KINDS)
    def test_only_the_last_state_matters(self, kind):
        case = Case(kind)
        with tf.GradientTape() as tape:
            tape.watch(case.projected)
            *_, last = scan_cases.scan(case, *case.tensors())
        actual = tape.gradient(last, case.projected)
        with tf.GradientTape() as tape:
            tape.watch(case.projected)
            *_, last = scan_cases.plain(case, *case.tensors())
        expected = tape.gradient(last, case.projected)
        np.testing.assert_allclose(actual, expected, atol=1e-12)

    @parameterized.parameters(*KINDS)
    def test_narrow_products(self, kind):
        case = Case(kind, dtype="float32", masked=True)
        _, exact = scan_cases.values_and_gradients(
            scan_cases.scan, case, case.tensors()
        )
        narrow = [
            tf.cast(tensor, tf.bfloat16)
            for tensor in (case.projected, *case.weights)
        ] + case.states
        values, gradients = scan_cases.values_and_gradients(
            scan_cases.scan, case, narrow
        )
        dtypes = [value.dtype for value in values]
        self.assertEqual(dtypes[0], tf.bfloat16)
        self.assertTrue(all(d == tf.float32 for d in dtypes[1:]))
        for gradient, tensor, oracle in zip(
            gradients, narrow, exact, strict=True
        ):
            self.assertEqual(gradient.dtype, tensor.dtype)
            error = tf.norm(tf.cast(gradient, tf.float32) - oracle)
            self.assertLess(error, 0.05 * tf.norm(oracle))

    @parameterized.parameters(*itertools.product(KINDS, (False, True)))
    def test_second_derivative(self, kind, in_a_graph):
        case = Case(kind, masked=True, resetting=True)

        def twice(function, *tensors):
            with tf.GradientTape() as outer:
                outer.watch(tensors)
                with tf.GradientTape() as inner:
                    inner.watch(tensors)
                    values = function(case, *tensors)
                gradients = inner.gradient(values, tensors, case.upstream)
                penalty = tf.add_n([tf.nn.l2_loss(g) for g in gradients])
            return outer.gradient(penalty, tensors)

        expected = twice(scan_cases.plain, *case.tensors())
        run = tf.function(twice, autograph=False) if in_a_graph else twice
        actual = run(scan_cases.scan, *case.tensors())
        for value, oracle in zip(actual, expected, strict=True):
            np.testing.assert_allclose(value, oracle, rtol=1e-9, atol=1e-9)

    @parameterized.product(
        kind=("SimpleRNN", "LSTM", "GRU"), in_a_graph=(False, True)
    )
    def test_second_derivative_of_an_unrolled_layer(self, kind, in_a_graph):
        layer = getattr(layers, kind)(3, unroll=True, dtype="float64")
        inputs = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 5)))
        direction = tf.constant(np.random.default_rng(1).normal(size=(2, 4, 5)))

        def gradient(inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                loss = tf.reduce_sum(layer(inputs) ** 2)
            return tape.gradient(loss, inputs)

        def second(inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                along = tf.reduce_sum(gradient(inputs) * direction)
            return tape.gradient(along, inputs)

        if in_a_graph:
            second = tf.function(second, autograph=False)
        step = 1e-5 * direction
        finite = (gradient(inputs + step) - gradient(inputs - step)) / 2e-5
        np.testing.assert_allclose(second(inputs), finite, atol=1e-8)


if __name__ == "__main__":
    absltest.main()
