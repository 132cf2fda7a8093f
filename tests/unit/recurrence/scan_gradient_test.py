"""Gradients of the loops and of the layers over them, by tables of cases.

A fast loop against TensorFlow's own differentiation of the plain loop, and a
layer against Keras' layer of the same weights: in float64 they agree to 1e-9
and in float32 to 1e-4 of the largest element, eagerly, under `tf.function`,
under XLA, and inside `strategy.run` with and without XLA.

With KERASRNN_FULL set each row of the tables runs in each of these ways;
without it, so many that any two values of a row still meet.
"""

import itertools

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.covering_rows import covering
from helpers.models import scan_cases
from helpers.models.scan_cases import KINDS
from helpers.models.scan_cases import TOLERANCE
from helpers.models.scan_cases import Case
from helpers.processes.forked_trainer import call_forked

from kerasrnn import layers
from kerasrnn.recurrence.engine import COMPILED_LOOPS
from kerasrnn.recurrence.engine import COMPILED_STEPS
from kerasrnn.recurrence.engine import PACKED
from kerasrnn.recurrence.engine import PLAIN

BOTH = (False, True)


def _table():
    """Every kind, dtype, mask and reset; sizes and numbers at random."""
    random = np.random.default_rng(0)
    for row in itertools.product(KINDS, TOLERANCE, BOTH, BOTH):
        for final_only in BOTH:
            yield *row, final_only, *(int(n) for n in random.integers(1, 7, 4))


def _case(
    kind, dtype, masked, resetting, final_only, steps, batch, units, seed
):
    case = Case(
        kind,
        dtype=dtype,
        masked=masked,
        resetting=resetting,
        steps=steps,
        batch=batch,
        units=units,
        seed=seed,
    )
    if final_only:
        # What reaches the weights comes through the final states alone.
        case.upstream[0] = tf.zeros_like(case.upstream[0])
    return case


def _engine_table(*engines):
    """Rows of the table with these ways to run a loop."""
    rows = [(engine, *row) for row in _table() for engine in engines]
    return covering(rows, *range(6))


def _in_a_graph(function, *tensors):
    return tf.function(function, autograph=False)(*tensors)


def _under_xla(function, *tensors):
    return tf.function(function, jit_compile=True, autograph=False)(*tensors)


class ScanTest(parameterized.TestCase):
    @parameterized.parameters(*covering(_table(), *range(5), together=3))
    def test_eagerly(self, *row):
        scan_cases.check_against_plain(_case(*row))

    @parameterized.parameters(
        *_engine_table(PLAIN, PACKED, COMPILED_STEPS, COMPILED_LOOPS)
    )
    def test_in_a_graph(self, engine, *row):
        case = _case(*row)
        case.engine = engine
        scan_cases.check_against_plain(case, _in_a_graph)

    @parameterized.parameters(*_engine_table(PLAIN, PACKED))
    def test_under_xla(self, engine, *row):
        case = _case(*row)
        case.engine = engine
        scan_cases.check_against_plain(case, _under_xla)

    def test_inside_strategy_run(self):
        # In a process of its own: devices are split before their first use.
        call_forked(_inside_strategy)


def _inside_strategy():
    """Checks the gradients on each replica of a mirrored strategy."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def run(function, *tensors):
        step = tf.function(
            lambda: strategy.run(function, args=tensors), autograph=False
        )
        replicas = [
            strategy.experimental_local_results(value)
            for value in tf.nest.flatten(step())
        ]
        for first, second in replicas:
            np.testing.assert_array_equal(first, second)
        return [first for first, _ in replicas]

    def run_compiled(function, *tensors):
        return run(
            tf.function(function, jit_compile=True, autograph=False), *tensors
        )

    np.testing.assert_equal(strategy.num_replicas_in_sync, 2)
    # What meets in a case is for the tests above; here each kind and option
    # is met by both ways.
    rows = list(_table())
    np.random.default_rng(1).shuffle(rows)
    for way in (run, run_compiled):
        for row in covering(rows, *range(5), together=1):
            scan_cases.check_against_plain(_case(*row), way)


FEATURES, UNITS = 5, 3
MASK = np.array([[0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1], [1, 1, 1, 1]], bool)
LAYERS = ("SimpleRNN", "LSTM", "GRU")
# What a layer may be built with; each takes another path or part of one.
OPTIONS = {
    "plain": {},
    "backwards": {"go_backwards": True},
    "unrolled": {"unroll": True},
    "last_output": {"return_sequences": False},
    "zeros_where_masked": {"zero_output_for_mask": True},
    "no_bias": {"use_bias": False},
    "other_activation": {"activation": "softsign"},
    "dropout": {"dropout": 0.4, "seed": 1},
    "recurrent_dropout": {"recurrent_dropout": 0.4, "seed": 2},
    "both_dropouts": {"dropout": 0.3, "recurrent_dropout": 0.3, "seed": 3},
}
GATED = {
    "other_recurrent_activation": {"recurrent_activation": "softsign"},
    "implementation": {"implementation": 1},
}
GRU_ONLY = {"reset_before": {"reset_after": False}}


def _layer_table():
    """Every kind and option, with each dtype, with a mask and XLA or not."""
    ways = list(itertools.product(TOLERANCE, BOTH, BOTH))
    for kind in LAYERS:
        options = dict(OPTIONS)
        if kind != "SimpleRNN":
            options |= GATED
        if kind == "GRU":
            options |= GRU_ONLY
        for name, chosen in options.items():
            for way in ways:
                yield kind, name, chosen, *way


class LayerTest(parameterized.TestCase):
    @parameterized.parameters(*covering(_layer_table(), 0, 1, 3, 4, 5))
    def test_equals_keras(self, kind, name, options, dtype, masked, compiled):
        options = {
            "return_sequences": True,
            "return_state": True,
            "dtype": dtype,
        } | options
        plain = {} if kind == "SimpleRNN" else {"use_cudnn": False}
        theirs = getattr(keras.layers, kind)(UNITS, **options, **plain)
        ours = getattr(layers, kind)(UNITS, **options)
        random = np.random.default_rng(list(name.encode()))
        shape = (len(MASK), MASK.shape[1], FEATURES)
        inputs = tf.constant(random.normal(size=shape), dtype)
        states = [
            tf.constant(random.normal(size=(len(MASK), UNITS)), dtype)
            for _ in range(2 if kind == "LSTM" else 1)
        ]
        for layer in (theirs, ours):
            layer.build(shape)
        weights = [random.normal(size=w.shape) for w in theirs.get_weights()]
        upstream = [
            tf.constant(random.normal(size=size), dtype)
            for size in (shape[:2] + (UNITS,), *[(len(MASK), UNITS)] * 2)
        ]
        if not options["return_sequences"]:
            upstream[0] = upstream[0][:, 0]
        mask = tf.constant(MASK) if masked else None

        def evaluate(layer, inputs, *states):
            watched = [inputs, *states]
            watched += [v.value for v in layer.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(watched)
                values = layer(
                    inputs,
                    initial_state=list(states),
                    mask=mask,
                    training=True,
                )
            gradients = tape.gradient(
                values,
                watched,
                upstream[: len(values)],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return [*values, *gradients]

        for layer in (theirs, ours):
            layer.set_weights(weights)
        run = tf.function(evaluate, jit_compile=compiled, autograph=False)
        # XLA draws other numbers, so Keras' dropout needs it as well.
        oracle = run if "seed" in options else evaluate
        expected = oracle(theirs, inputs, *states)
        actual = run(ours, inputs, *states)
        for index, (value, oracle) in enumerate(
            zip(actual, expected, strict=True)
        ):
            self.assertEqual(value.dtype, oracle.dtype)
            scale = max(1e-3, np.max(np.abs(oracle)))
            np.testing.assert_allclose(
                value / scale,
                oracle / scale,
                rtol=0,
                atol=TOLERANCE[dtype],
                err_msg=f"tensor {index}",
            )


if __name__ == "__main__":
    absltest.main()
