"""Random cases of the fast loops, and the plain loop as their oracle.

TensorFlow differentiates the plain loop over the cells' steps by itself.
"""

import numpy as np
import tensorflow as tf

from kerasrnn.layers.kinds import kind_of
from kerasrnn.recurrence import scan as fast
from kerasrnn.recurrence.engine import PLAIN
from kerasrnn.recurrence.loop import differentiable_loop

KINDS = ("simple_rnn", "lstm", "gru")
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
        engine=PLAIN,
        input_biased=False,
    ):
        random = np.random.default_rng(seed)
        self.name = (
            f"{kind} {dtype} masked={masked} resetting={resetting} "
            f"T={steps} B={batch} U={units} seed={seed} {engine} "
            f"input_biased={input_biased}"
        )

        def normal(*shape):
            return tf.constant(random.normal(size=shape), dtype)

        sizes = kind_of(kind).sizes
        width = sizes.gates * units
        self.kind = kind
        self.engine = engine
        self.projected = normal(steps, batch, width)
        self.weights = [normal(units, width)]
        for _ in range(input_biased + sizes.biases - 1):
            self.weights.append(normal(width))
        self.states = [normal(batch, units) for _ in range(sizes.states)]
        self.upstream = [normal(steps, batch, units)]
        self.upstream += [normal(batch, units) for _ in self.states]
        self.mask = self.reset = None
        if masked:
            self.mask = tf.constant(random.random((steps, batch)) < 0.6)
        if resetting:
            self.reset = tf.constant(random.random((steps, batch)) < 0.3)

    def __str__(self):
        return self.name

    def tensors(self):
        """Returns what there is a gradient for, flat."""
        return [self.projected, *self.weights, *self.states]


def run_scan(kind, projected, weights, states, mask, reset=None, **options):
    """The fast loop: `(outputs, states)`."""
    kernel, input_bias, bias = _by_use(kind, weights)
    return fast.scan(
        kind_of(kind).step,
        projected,
        kernel,
        list(states),
        input_bias=input_bias,
        bias=bias,
        mask=mask,
        reset=reset,
        **options,
    )


def _by_use(kind, weights):
    """`[kernel, bias of the inputs or None, bias of h's product or None]`."""
    kernel, *biases = weights
    bias = biases.pop() if kind_of(kind).sizes.biases == 2 else None
    return [kernel, biases.pop() if biases else None, bias]


def scan(case, projected, *rest):
    """The fast loop, with `Case.tensors` flat."""
    count = len(case.weights)
    outputs, states = run_scan(
        case.kind,
        projected,
        rest[:count],
        rest[count:],
        case.mask,
        case.reset,
        engine=case.engine,
    )
    return [outputs, *states]


def cell_step(kind, projected, states, weights):
    """One step of a cell: its two products, and its equations."""
    step = kind_of(kind).step
    kernel, input_bias, bias = _by_use(kind, weights)
    product = states[0] @ kernel
    if input_bias is not None:
        projected += input_bias
    if bias is not None:
        product += bias
    return step.forward(*step.sums(projected, product), *states)[0]


def plain(case, projected, *rest):
    """The plain loop over the cell's step, with masks as choices."""
    weights, states = rest[: len(case.weights)], rest[len(case.weights) :]
    shape = projected.shape[:2]
    mask = tf.ones(shape, bool) if case.mask is None else case.mask
    reset = tf.zeros(shape, bool) if case.reset is None else case.reset

    def step(slices, states):
        projected, mask, reset = slices
        old = [tf.where(reset, tf.zeros_like(s), s) for s in states]
        new = cell_step(case.kind, projected, old, weights)
        return [tf.where(mask, n, o) for n, o in zip(new, old, strict=True)]

    outputs, states = differentiable_loop(
        step,
        [projected, mask[:, :, None], reset[:, :, None]],
        list(states),
        projected.dtype,
    )
    return [outputs, *states]


def values_and_gradients(function, case, tensors):
    """Values of `scan` or `plain`, and the gradients of all tensors."""
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        values = function(case, *tensors)
    return values, tape.gradient(values, tensors, case.upstream)


def check_against_plain(
    case, run=lambda function, *tensors: function(*tensors)
):
    """Compares values and gradients of the fast loop, run by `run`."""
    tensors = case.tensors()
    tolerance = TOLERANCE[case.projected.dtype.name]
    expected = values_and_gradients(plain, case, tensors)
    actual = run(
        lambda *tensors: values_and_gradients(scan, case, tensors), *tensors
    )
    flat = zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True)
    for index, (value, oracle) in enumerate(flat):
        scale = max(1e-3, np.max(np.abs(oracle)))
        np.testing.assert_allclose(
            value / scale,
            oracle / scale,
            rtol=0,
            atol=tolerance,
            err_msg=f"{case}, tensor {index}",
        )
