"""Our layers and cells beside Keras', weights being the same.

Weights, inputs, states and upstream gradients are random, so that a gate out
of order shows. Compared are outputs, final states, and the gradients for the
inputs, the initial states and all weights.
"""

import itertools

import keras
import numpy as np
import tensorflow as tf
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


def mask_of(name):
    return None if name is None else np.array(MASKS[name], bool)


def num_states(kind):
    return 2 if kind == "LSTM" else 1


def random_array(shape, seed, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def set_random_weights(theirs, ours):
    weights = [
        random_array(weight.shape, seed, weight.dtype)
        for seed, weight in enumerate(theirs.get_weights())
    ]
    theirs.set_weights(weights)
    ours.set_weights(weights)


def pair_of(kind, units=UNITS, **options):
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
    set_random_weights(theirs, ours)
    return theirs, ours


def random_inputs(dtype="float32", shape=(BATCH, STEPS, FEATURES)):
    return tf.constant(random_array(shape, 100, dtype))


def random_states(count, dtype="float32"):
    return [
        tf.constant(random_array((BATCH, UNITS), 200 + index, dtype))
        for index in range(count)
    ]


def evaluate(layer, inputs, states=(), **arguments):
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
            upstream = tf.constant(random_array(output.shape, 300 + seed))
            upstream = tf.cast(upstream, output.dtype)
            loss += tf.cast(tf.reduce_sum(output * upstream), tf.float64)
    gradients = tape.gradient(
        loss,
        [inputs, *states, *weights],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return outputs, gradients


def combinations(*alternatives):
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
            theirs, ours = pair_of(kind, **options)
            dtype = options.get("dtype", "float32")
            inputs = random_inputs(dtype)
            initial = random_states(num_states(kind) if states else 0, dtype)
            theirs, ours = (
                evaluate(
                    layer,
                    inputs,
                    initial,
                    mask=mask_of(mask),
                    training=training,
                )
                for layer in (theirs, ours)
            )
            self.assert_same(
                theirs, ours, 1e-12 if dtype == "float64" else 1e-5
            )
