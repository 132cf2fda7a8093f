"""cuDNN's loops are given the right weights and lengths.

There need be no GPU here: cuDNN is played by NumPy, after its documentation.
"""

import itertools

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.layers.kinds import kind_of
from kerasrnn.recurrence import cudnn
from kerasrnn.recurrence.step import LayerWeights
from kerasrnn.recurrence.step import split_bias

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6
KINDS = ("LSTM", "GRU")
CELLS = {kind: kind_of(kind.lower()).step for kind in KINDS}


def _random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _numpy_cudnn(kind, inputs, flat, states):
    """CuDNN's equations, from its own vector of weights.

    `cudnnGetRNNWeightParams` numbers the matrices of an LSTM i, f, g, o and
    those of a GRU r, z, g; those of the inputs come first, then those of the
    states, then the biases likewise. A matrix is [outputs, inputs].

    Args:
        kind: "LSTM" or "GRU".
        inputs: [T, B, D].
        flat: Vector of all weights.
        states: Arrays [B, U].
    """
    count = 4 if kind == "LSTM" else 3
    features, units = inputs.shape[-1], states[0].shape[-1]
    sizes = [(units, features)] * count + [(units, units)] * count
    sizes += [(units,)] * (2 * count)
    ends = np.cumsum([np.prod(size) for size in sizes])
    pieces = [
        piece.reshape(size)
        for piece, size in zip(np.split(flat, ends[:-1]), sizes, strict=True)
    ]
    w, r, b_w, b_r = (pieces[k * count : (k + 1) * count] for k in range(4))
    outputs = []
    for x in inputs:
        h = states[0]
        a = [x @ w[k].T + b_w[k] for k in range(count)]
        b = [h @ r[k].T + b_r[k] for k in range(count)]
        if kind == "LSTM":
            i, f, o = (_sigmoid(a[k] + b[k]) for k in (0, 1, 3))
            c = f * states[1] + i * np.tanh(a[2] + b[2])
            states = [o * np.tanh(c), c]
        else:
            reset, update = (_sigmoid(a[k] + b[k]) for k in (0, 1))
            new = np.tanh(a[2] + reset * b[2])
            states = [(1 - update) * new + update * h]
        outputs.append(states[0])
    return np.array(outputs), states


class WeightsTest(parameterized.TestCase):
    @parameterized.parameters(*KINDS)
    def test_are_in_cudnns_order(self, kind):
        oracle = getattr(keras.layers, kind)(
            UNITS,
            return_sequences=True,
            return_state=True,
            use_cudnn=False,
            dtype="float64",
        )
        oracle.build((BATCH, STEPS, FEATURES))
        weights = [
            _random(*weight.shape, seed=seed)
            for seed, weight in enumerate(oracle.get_weights())
        ]
        oracle.set_weights(weights)
        inputs = _random(STEPS, BATCH, FEATURES)
        count = 2 if kind == "LSTM" else 1
        states = [_random(BATCH, UNITS, seed=s) for s in range(count)]
        kernel, recurrent_kernel, bias = (tf.constant(w) for w in weights)
        flat = cudnn.parameters(
            CELLS[kind].cudnn,
            LayerWeights(kernel, recurrent_kernel, *split_bias(bias)),
        ).numpy()
        outputs, final = _numpy_cudnn(kind, inputs, flat, states)
        expected = oracle(np.swapaxes(inputs, 0, 1), initial_state=states)
        np.testing.assert_allclose(
            np.swapaxes(outputs, 0, 1), expected[0], atol=1e-12
        )
        for a, b in zip(final, expected[1:], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


class MaskTest(parameterized.TestCase):
    def test_lengths_say_all_that_a_right_padded_mask_says(self):
        for bits in itertools.product((0, 1), repeat=6):
            mask = np.array(bits, bool).reshape(2, 3)
            rows = {(1, 0, 0), (1, 1, 0), (1, 1, 1)}
            fits = cudnn.is_right_padded(tf.constant(mask))
            self.assertEqual(fits, {*map(tuple, mask.astype(int))} <= rows)
            lengths = cudnn.lengths_of(tf.constant(mask.T))
            np.testing.assert_array_equal(lengths, mask.sum(1))


class AgreementTest(parameterized.TestCase):
    @parameterized.parameters(*KINDS)
    def test_there_is_none_where_cudnn_cannot_run(self, kind):
        if tf.config.list_logical_devices("GPU"):
            self.assertTrue(cudnn.agrees_here(CELLS[kind]))
        else:
            with self.assertLogs(level="WARNING"):
                self.assertFalse(cudnn.agrees_here(CELLS[kind]))


if __name__ == "__main__":
    absltest.main()
