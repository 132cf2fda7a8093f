"""The fast loops compute the equations, and their gradients are right.

Oracles: each cell's equations in numpy, step by step; and TensorFlow's own
differentiation of the plain loop over the cells' steps.
"""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn import layers
from kerasrnn.layers.engine import Engine
from kerasrnn.layers.gru import gru_step
from kerasrnn.layers.loops import differentiable_loop
from kerasrnn.layers.lstm import lstm_step
from kerasrnn.layers.scan import gru_scan
from kerasrnn.layers.scan import lstm_scan
from kerasrnn.layers.scan import simple_rnn_scan
from kerasrnn.layers.simple_rnn import simple_rnn_step

KINDS = ("simple_rnn", "lstm", "gru")
GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}
SCANS = {"simple_rnn": simple_rnn_scan, "lstm": lstm_scan, "gru": gru_scan}
STEPS = {"simple_rnn": simple_rnn_step, "lstm": lstm_step, "gru": gru_step}
# A gradient's largest error, in units of its largest element.
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


class Case:
    """Random arguments of a scan, and upstream gradients."""

    def __init__(
        self,
        kind,
        *,
        dtype="float64",
        masked=False,
        resetting=False,
        steps=6,
        batch=3,
        units=4,
        seed=0,
        engine=Engine.PLAIN,
    ):
        random = np.random.default_rng(seed)

        def normal(*shape):
            return tf.constant(random.normal(size=shape), dtype)

        width = GATES[kind] * units
        self.kind = kind
        self.engine = engine
        self.projected = normal(steps, batch, width)
        self.weights = [normal(units, width)]
        if kind == "gru":
            self.weights.append(normal(width))
        count = 2 if kind == "lstm" else 1
        self.states = [normal(batch, units) for _ in range(count)]
        self.upstream = [normal(steps, batch, units)]
        self.upstream += [normal(batch, units) for _ in range(count)]
        self.mask = self.reset = None
        if masked:
            self.mask = tf.constant(random.random((steps, batch)) < 0.6)
        if resetting:
            self.reset = tf.constant(random.random((steps, batch)) < 0.3)

    def tensors(self):
        """Returns what there is a gradient for, flat."""
        return [self.projected, *self.weights, *self.states]


def _scan(case, projected, *rest):
    """The fast loop, with `Case.tensors` flat."""
    count = len(case.weights)
    outputs, states = SCANS[case.kind](
        projected,
        *rest[:count],
        list(rest[count:]),
        case.mask,
        case.reset,
        engine=case.engine,
    )
    return [outputs, *states]


def _plain(case, projected, *rest):
    """The plain loop over the cell's step, with masks as choices."""
    weights, states = rest[: len(case.weights)], rest[len(case.weights) :]
    shape = projected.shape[:2]
    mask = tf.ones(shape, bool) if case.mask is None else case.mask
    reset = tf.zeros(shape, bool) if case.reset is None else case.reset

    def step(slices, states):
        projected, mask, reset = slices
        old = [tf.where(reset, tf.zeros_like(s), s) for s in states]
        _, new = STEPS[case.kind](projected, old, *weights)
        new = [tf.where(mask, n, o) for n, o in zip(new, old, strict=True)]
        return new[0], new

    outputs, states = differentiable_loop(
        step,
        [projected, mask[:, :, None], reset[:, :, None]],
        list(states),
    )
    return [outputs, *states]


def _values_and_gradients(function, case, tensors):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        values = function(case, *tensors)
    return values, tape.gradient(values, tensors, case.upstream)


def _check_against_plain(
    case, run=lambda function, *tensors: function(*tensors)
):
    """Compares values and gradients of the fast loop, run by `run`."""
    tensors = case.tensors()
    tolerance = TOLERANCE[case.projected.dtype.name]
    expected = _values_and_gradients(_plain, case, tensors)
    actual = run(
        lambda *tensors: _values_and_gradients(_scan, case, tensors), *tensors
    )
    flat = zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True)
    for index, (value, oracle) in enumerate(flat):
        scale = max(1e-3, np.max(np.abs(oracle)))
        np.testing.assert_allclose(
            value / scale,
            oracle / scale,
            rtol=0,
            atol=tolerance,
            err_msg=f"{case.kind}, tensor {index}",
        )


class GradientTest(parameterized.TestCase):
    @parameterized.parameters(
        *itertools.product(KINDS, TOLERANCE, (False, True), (False, True))
    )
    def test_equals_the_plain_loops(self, kind, dtype, masked, resetting):
        for seed in range(3):
            case = Case(
                kind,
                dtype=dtype,
                masked=masked,
                resetting=resetting,
                seed=seed,
            )
            _check_against_plain(case)

    @parameterized.parameters(
        *itertools.product(KINDS, (False, True), (False, True))
    )
    def test_in_a_graph(self, kind, masked, jit_compile):
        for dtype in TOLERANCE:
            case = Case(kind, dtype=dtype, masked=masked, resetting=masked)
            _check_against_plain(
                case,
                lambda function, *tensors: tf.function(
                    function, jit_compile=jit_compile
                )(*tensors),
            )

    @parameterized.parameters(
        *itertools.product(
            KINDS, (Engine.STEPS, Engine.LOOPS), (False, True), (False, True)
        )
    )
    def test_engines(self, kind, engine, masked, resetting):
        for dtype in TOLERANCE:
            case = Case(
                kind,
                dtype=dtype,
                masked=masked,
                resetting=resetting,
                engine=engine,
            )
            _check_against_plain(
                case,
                lambda function, *tensors: tf.function(function)(*tensors),
            )

    @parameterized.parameters(*itertools.product(KINDS, (False, True)))
    def test_without_a_gradient(self, kind, masked):
        case = Case(kind, masked=masked, resetting=masked)
        count = len(case.weights)
        tensors = case.tensors()[1:]
        outputs, states = SCANS[kind](
            case.projected,
            *tensors[:count],
            tensors[count:],
            case.mask,
            case.reset,
            differentiable=False,
        )
        expected = _scan(case, *case.tensors())
        for value, oracle in zip([outputs, *states], expected, strict=True):
            np.testing.assert_array_equal(value, oracle)

    def test_inside_strategy_run(self):
        # In a process of its own: devices are split before their first use.
        command = [sys.executable, str(Path(__file__)), "--inside_strategy"]
        result = subprocess.run(
            command, capture_output=True, text=True, check=False
        )
        self.assertEqual(result.returncode, 0, result.stderr[-2000:])
        self.assertIn("2 replicas", result.stdout)

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
        _check_against_plain(case)

    @parameterized.parameters(*itertools.product(KINDS, (1, 2), (1, 3)))
    def test_short_and_narrow(self, kind, steps, batch):
        case = Case(kind, steps=steps, batch=batch, units=1, masked=True)
        _check_against_plain(case)

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
                outputs, final = SCANS[kind](projected, *weights, states, mask)
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
            *_, last = _scan(case, *case.tensors())
        actual = tape.gradient(last, case.projected)
        with tf.GradientTape() as tape:
            tape.watch(case.projected)
            *_, last = _plain(case, *case.tensors())
        expected = tape.gradient(last, case.projected)
        np.testing.assert_allclose(actual, expected, atol=1e-12)

    @parameterized.parameters(*KINDS)
    def test_narrow_products(self, kind):
        case = Case(kind, dtype="float32", masked=True)
        _, exact = _values_and_gradients(_scan, case, case.tensors())
        narrow = [
            tf.cast(tensor, tf.bfloat16)
            for tensor in (case.projected, *case.weights)
        ] + case.states
        values, gradients = _values_and_gradients(_scan, case, narrow)
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
    def test_second_derivative_is_refused(self, kind, in_a_graph):
        case = Case(kind)

        def differentiate_twice(projected):
            with tf.GradientTape() as outer:
                outer.watch(projected)
                with tf.GradientTape() as inner:
                    inner.watch(projected)
                    outputs, *_ = _scan(
                        case, projected, *case.weights, *case.states
                    )
                    loss = tf.reduce_sum(outputs**2)
                gradient = inner.gradient(loss, projected)
                penalty = tf.reduce_sum(gradient**2)
            return outer.gradient(penalty, projected)

        if in_a_graph:
            differentiate_twice = tf.function(differentiate_twice)
        with self.assertRaisesRegex(
            NotImplementedError, "no second derivative.*unroll=True"
        ):
            differentiate_twice(case.projected)

    @parameterized.parameters("SimpleRNN", "LSTM", "GRU")
    def test_second_derivative_of_an_unrolled_layer(self, kind):
        layer = getattr(layers, kind)(3, unroll=True, dtype="float64")
        inputs = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 5)))
        direction = tf.constant(np.random.default_rng(1).normal(size=(2, 4, 5)))

        def gradient(inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                loss = tf.reduce_sum(layer(inputs) ** 2)
            return tape.gradient(loss, inputs)

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            along = tf.reduce_sum(gradient(inputs) * direction)
        step = 1e-5 * direction
        finite = (gradient(inputs + step) - gradient(inputs - step)) / 2e-5
        np.testing.assert_allclose(
            tape.gradient(along, inputs), finite, atol=1e-8
        )


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _numpy_step(kind, p, states, weights):
    """The cell's equations, written once more."""
    h, units = states[0], states[0].shape[-1]
    kernel = weights[0]
    if kind == "simple_rnn":
        return [np.tanh(p + h @ kernel)]
    gates = [
        p[:, k * units : (k + 1) * units] for k in range(p.shape[-1] // units)
    ]
    recurrent = [
        h @ kernel[:, k * units : (k + 1) * units]
        for k in range(p.shape[-1] // units)
    ]
    if kind == "lstm":
        c = states[1]
        i, f, g, o = (a + b for a, b in zip(gates, recurrent, strict=True))
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return [_sigmoid(o) * np.tanh(c), c]
    b_z, b_r, b_g = np.split(weights[1], 3)
    z = _sigmoid(gates[0] + recurrent[0] + b_z)
    r = _sigmoid(gates[1] + recurrent[1] + b_r)
    g = np.tanh(gates[2] + r * (recurrent[2] + b_g))
    return [z * h + (1 - z) * g]


class ValueTest(parameterized.TestCase):
    @parameterized.parameters(
        *itertools.product(KINDS, (False, True), (False, True))
    )
    def test_equals_the_equations(self, kind, masked, resetting):
        case = Case(kind, masked=masked, resetting=resetting)
        weights = [weight.numpy() for weight in case.weights]
        states = [state.numpy() for state in case.states]
        expected = []
        for time, projected in enumerate(case.projected.numpy()):
            if resetting:
                keep = ~case.reset.numpy()[time][:, None]
                states = [state * keep for state in states]
            new = _numpy_step(kind, projected, states, weights)
            if masked:
                use = case.mask.numpy()[time][:, None]
                new = [
                    np.where(use, n, s)
                    for n, s in zip(new, states, strict=True)
                ]
            states = new
            expected.append(states[0])
        outputs, *final = _scan(case, *case.tensors())
        np.testing.assert_allclose(outputs, expected, atol=1e-13)
        for a, b in zip(final, states, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)

    @parameterized.parameters(*KINDS)
    def test_a_cells_step_equals_the_equations(self, kind):
        case = Case(kind, steps=1)
        _, states = STEPS[kind](case.projected[0], case.states, *case.weights)
        expected = _numpy_step(
            kind,
            case.projected[0].numpy(),
            [state.numpy() for state in case.states],
            [weight.numpy() for weight in case.weights],
        )
        for a, b in zip(states, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)

    @parameterized.parameters(*KINDS)
    def test_held_states_are_the_same_to_the_bit(self, kind):
        case = Case(kind, dtype="float32", steps=3)
        case.mask = tf.zeros([3, 3], tf.bool)
        outputs, *final = _scan(case, *case.tensors())
        for a, b in zip(final, case.states, strict=True):
            np.testing.assert_array_equal(a, b)
        for output in outputs:
            np.testing.assert_array_equal(output, case.states[0])

    @parameterized.parameters(*KINDS)
    def test_after_a_reset_the_past_does_not_matter(self, kind):
        case = Case(kind, resetting=True)
        reset = np.zeros([6, 3], bool)
        reset[2] = True
        case.reset = tf.constant(reset)
        whole, *_ = _scan(case, *case.tensors())
        case.reset = None
        case.projected = case.projected[2:]
        case.states = [tf.zeros_like(state) for state in case.states]
        part, *_ = _scan(case, *case.tensors())
        np.testing.assert_allclose(whole[2:], part, atol=1e-13)


def _inside_strategy():
    """Checks the gradients on each replica of a mirrored strategy."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def run(function, *tensors):
        @tf.function
        def step():
            return strategy.run(function, args=tensors)

        replicas = [
            strategy.experimental_local_results(value)
            for value in tf.nest.flatten(step())
        ]
        for first, second in replicas:
            np.testing.assert_array_equal(first, second)
        return [first for first, _ in replicas]

    for kind, dtype in itertools.product(KINDS, TOLERANCE):
        case = Case(kind, dtype=dtype, masked=True, resetting=True)
        _check_against_plain(case, run)
    print(f"{strategy.num_replicas_in_sync} replicas")


if __name__ == "__main__":
    if "--inside_strategy" in sys.argv:
        _inside_strategy()
    else:
        absltest.main()
