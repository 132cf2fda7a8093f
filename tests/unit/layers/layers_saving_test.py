"""Layers are saved and loaded as Keras' are, and start as Keras' start."""

import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn import layers

KINDS = ("SimpleRNN", "LSTM", "GRU")
INPUTS = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")


class SavingTest(parameterized.TestCase):
    def _path(self, suffix):
        return str(Path(self.create_tempdir().full_path) / f"model{suffix}")

    def _check_saved(self, model, inputs):
        expected = model(inputs)
        path = self._path(".keras")
        model.save(path)
        loaded = keras.models.load_model(path)
        for a, b in zip(
            tf.nest.flatten(loaded(inputs)),
            tf.nest.flatten(expected),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=1e-6)

    @parameterized.parameters(*KINDS)
    def test_sequential(self, kind):
        model = keras.Sequential(
            [
                keras.Input((4, 5)),
                getattr(layers, kind)(3, return_sequences=True),
                getattr(layers, kind)(2, unroll=True, go_backwards=True),
                keras.layers.Dense(2),
            ]
        )
        self._check_saved(model, INPUTS)

    @parameterized.parameters(*KINDS)
    def test_functional_with_states(self, kind):
        count = 2 if kind == "LSTM" else 1
        inputs = keras.Input((None, 5))
        states = [keras.Input((3,)) for _ in range(count)]
        layer = getattr(layers, kind)(
            3, return_sequences=True, return_state=True
        )
        outputs = layer(inputs, initial_state=states)
        model = keras.Model([inputs, *states], outputs)
        self._check_saved(
            model, [INPUTS, *(np.full((3, 3), 0.5, "float32"),) * count]
        )

    @parameterized.parameters(*KINDS)
    def test_bidirectional(self, kind):
        layer = getattr(layers, kind)(3, return_sequences=True)
        model = keras.Sequential(
            [keras.Input((None, 5)), keras.layers.Bidirectional(layer)]
        )
        self._check_saved(model, INPUTS)

    @parameterized.parameters(*KINDS)
    def test_cells_in_keras_rnn(self, kind):
        cells = [getattr(layers, f"{kind}Cell")(size) for size in (3, 4)]
        model = keras.Sequential(
            [keras.Input((None, 5)), keras.layers.RNN(cells)]
        )
        self._check_saved(model, INPUTS)

    def test_loads_in_a_process_that_only_imports_the_layers(self):
        model = keras.Sequential([keras.Input((4, 5)), layers.LSTM(3)])
        path = self._path(".keras")
        model.save(path)
        program = (
            "import sys, keras, numpy, kerasrnn.layers\n"
            "model = keras.models.load_model(sys.argv[1])\n"
            "print(type(model.layers[0]).__module__)\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", program, path],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(result.stdout.strip(), "kerasrnn.layers.lstm")

    @parameterized.product(kind=KINDS, bias=(True, False))
    def test_weight_files_are_keras_own(self, kind, bias):
        def model(module):
            layer = getattr(module, kind)(3, use_bias=bias)
            return keras.Sequential([keras.Input((None, 5)), layer])

        for first, second in (
            (keras.layers, layers),
            (layers, keras.layers),
        ):
            source, target = model(first), model(second)
            path = self._path(".weights.h5")
            source.save_weights(path)
            target.load_weights(path)
            np.testing.assert_allclose(
                source(INPUTS), target(INPUTS), atol=1e-6
            )

    @parameterized.parameters(*KINDS)
    def test_weights_are_named_and_ordered_as_keras(self, kind):
        for name in (kind, f"{kind}Cell"):
            theirs = getattr(keras.layers, name)(3)
            ours = getattr(layers, name)(3)
            shape = INPUTS.shape if name == kind else INPUTS.shape[::2]
            theirs.build(shape)
            ours.build(shape)
            self.assertEqual(
                [(w.name, w.shape) for w in ours.weights],
                [(w.name, w.shape) for w in theirs.weights],
            )
            self.assertEqual(
                [w.name for w in ours.variables],
                [w.name for w in theirs.variables],
            )

    @parameterized.product(
        kind=KINDS,
        cell=(False, True),
        options=(
            {},
            {"seed": 1, "recurrent_dropout": 0.5},
            {"bias_initializer": "glorot_uniform"},
            {"bias_initializer": "random_normal", "dtype": "mixed_bfloat16"},
            {
                "kernel_initializer": "he_normal",
                "recurrent_initializer": "random_uniform",
                "bias_initializer": "truncated_normal",
                "dropout": 0.3,
            },
        ),
    )
    def test_weights_start_as_keras(self, kind, cell, options):
        self._check_first_weights(kind, cell, options)

    @parameterized.parameters("LSTM", "GRU")
    def test_weights_start_as_keras_own_way(self, kind):
        name = "unit_forget_bias" if kind == "LSTM" else "reset_after"
        options = {"bias_initializer": "random_normal", name: False}
        self._check_first_weights(kind, False, options)

    @parameterized.parameters(*KINDS)
    def test_weights_of_a_seeded_initializer_start_as_keras(self, kind):
        for initializer in (
            "GlorotUniform",
            "GlorotNormal",
            "HeUniform",
            "LecunNormal",
            "RandomUniform",
            "RandomNormal",
            "TruncatedNormal",
            "VarianceScaling",
        ):
            make = getattr(keras.initializers, initializer)
            options = {
                f"{name}_initializer": make(seed=seed)
                for seed, name in enumerate(("kernel", "recurrent", "bias"))
            }
            for cell in (False, True):
                self._check_first_weights(kind, cell, options)

    def _check_first_weights(self, kind, cell, options):
        theirs, ours = (
            self._first_weights(module, kind, cell, options)
            for module in (keras.layers, layers)
        )
        for a, b in zip(theirs, ours, strict=True):
            np.testing.assert_array_equal(a, b)

    def _first_weights(self, module, kind, cell, options):
        """Of two, of which the second shows what the first has drawn."""
        keras.utils.set_random_seed(3)
        name = f"{kind}Cell" if cell else kind
        weights = []
        for _ in range(2):
            layer = getattr(module, name)(4, **options)
            layer.build((None, 5) if cell else (None, None, 5))
            weights += layer.get_weights()
        return [*weights, random.random()]


if __name__ == "__main__":
    absltest.main()
