"""Each cell's equations in NumPy, step by step, and our loops over them."""

import itertools

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import scan_cases
from helpers.models.scan_cases import KINDS
from helpers.models.scan_cases import Case


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
        outputs, *final = scan_cases.scan(case, *case.tensors())
        np.testing.assert_allclose(outputs, expected, atol=1e-13)
        for a, b in zip(final, states, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)

    @parameterized.parameters(*KINDS)
    def test_a_cells_step_equals_the_equations(self, kind):
        case = Case(kind, steps=1)
        states = scan_cases.cell_step(
            kind, case.projected[0], case.states, case.weights
        )
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
        outputs, *final = scan_cases.scan(case, *case.tensors())
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
        whole, *_ = scan_cases.scan(case, *case.tensors())
        case.reset = None
        case.projected = case.projected[2:]
        case.states = [tf.zeros_like(state) for state in case.states]
        part, *_ = scan_cases.scan(case, *case.tensors())
        np.testing.assert_allclose(whole[2:], part, atol=1e-13)


if __name__ == "__main__":
    absltest.main()
