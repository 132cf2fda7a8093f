"""Configuration, shapes, fitting and errors of the layers."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn import layers

KINDS = ("SimpleRNN", "LSTM", "GRU")
INPUTS = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")

CELL_OPTIONS = {
    "activation": "relu",
    "use_bias": False,
    "kernel_initializer": keras.initializers.RandomNormal(stddev=0.3),
    "recurrent_initializer": keras.initializers.RandomUniform(-0.5, 0.5),
    "bias_initializer": "ones",
    "kernel_regularizer": keras.regularizers.L2(0.01),
    "recurrent_regularizer": keras.regularizers.L1(0.02),
    "bias_regularizer": "l2",
    "kernel_constraint": keras.constraints.MaxNorm(1.5),
    "recurrent_constraint": "non_neg",
    "bias_constraint": keras.constraints.UnitNorm(),
    "dropout": 0.2,
    "recurrent_dropout": 0.3,
    "seed": 7,
    "dtype": "mixed_bfloat16",
    "trainable": False,
}
LAYER_OPTIONS = {
    "activity_regularizer": "l1",
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "stateful": True,
    "unroll": True,
    "zero_output_for_mask": True,
}
GATED_OPTIONS = {"recurrent_activation": "hard_sigmoid", "implementation": 1}
OWN_OPTIONS = {
    "SimpleRNN": {},
    "LSTM": {**GATED_OPTIONS, "unit_forget_bias": False},
    "GRU": {**GATED_OPTIONS, "reset_after": False},
}


def _cell_cases():
    for kind in KINDS:
        for name, value in {**CELL_OPTIONS, **OWN_OPTIONS[kind]}.items():
            yield f"{kind}Cell", {name: value}
        yield f"{kind}Cell", {**CELL_OPTIONS, **OWN_OPTIONS[kind]}


def _layer_cases():
    for kind in KINDS:
        options = {**CELL_OPTIONS, **LAYER_OPTIONS, **OWN_OPTIONS[kind]}
        if kind != "SimpleRNN":
            options["use_cudnn"] = False
        for name, value in options.items():
            yield kind, {name: value}
        yield kind, options


class ConfigTest(parameterized.TestCase):
    @parameterized.parameters(*_cell_cases(), *_layer_cases())
    def test_round_trip(self, kind, options):
        first = getattr(layers, kind)(4, **options)
        config = first.get_config()
        second = type(first).from_config(config)
        self.assertEqual(second.get_config(), config)
        self.assertEqual(set(dir(first)), set(dir(second)))
        # The long way, as a saved model takes it.
        saved = keras.saving.serialize_keras_object(first)
        third = keras.saving.deserialize_keras_object(saved)
        self.assertIs(type(third), type(first))
        self.assertEqual(third.get_config(), config)
        # It is the option's value that came back, not the default's.
        plain = getattr(layers, kind)(4, name=first.name).get_config()
        for name in options:
            self.assertNotEqual(config[name], plain.get(name), name)

    @parameterized.parameters(*KINDS)
    def test_a_config_of_keras_is_understood(self, kind):
        options = {**CELL_OPTIONS, **LAYER_OPTIONS, **OWN_OPTIONS[kind]}
        theirs = getattr(keras.layers, kind)(4, **options)
        ours = getattr(layers, kind).from_config(theirs.get_config())
        for name, value in theirs.get_config().items():
            self.assertEqual(ours.get_config()[name], value, name)

    @parameterized.parameters(*KINDS)
    def test_arguments_are_in_keras_order(self, kind):
        arguments = [4, "relu", "sigmoid", True]
        if kind == "SimpleRNN":
            arguments = [4, "relu", True, "ones"]
        theirs = getattr(keras.layers, kind)(*arguments)
        ours = getattr(layers, kind)(*arguments)
        config = ours.get_config()
        for name, value in theirs.get_config().items():
            if name != "name":
                self.assertEqual(config[name], value, name)

    @parameterized.parameters(*KINDS)
    def test_importing_the_layers_registers_them(self, kind):
        for name in (kind, f"{kind}Cell"):
            registered = keras.saving.get_registered_object(f"kerasrnn>{name}")
            self.assertIs(registered, getattr(layers, name))

    def test_unknown_argument(self):
        for kind in KINDS:
            with self.assertRaisesRegex(ValueError, "Unrecognized keyword"):
                getattr(layers, kind)(4, unknown=1)


class ShapeTest(parameterized.TestCase):
    @parameterized.product(
        kind=KINDS, return_sequences=(False, True), return_state=(False, True)
    )
    def test_equal_keras(self, kind, return_sequences, return_state):
        options = {
            "return_sequences": return_sequences,
            "return_state": return_state,
        }
        theirs = getattr(keras.layers, kind)(6, **options)
        ours = getattr(layers, kind)(6, **options)
        for shape in ((3, 4, 5), (None, 4, 5), (3, None, 5), (None, None, 5)):
            self.assertEqual(
                ours.compute_output_shape(shape),
                theirs.compute_output_shape(shape),
            )
            symbolic = keras.Input(batch_shape=shape)
            self.assertEqual(
                [t.shape for t in tf.nest.flatten(ours(symbolic))],
                [t.shape for t in tf.nest.flatten(theirs(symbolic))],
            )

    @parameterized.product(
        kind=KINDS, options=({}, {"activation": "relu"}, {"unroll": True})
    )
    def test_symbolic_call_equals_the_eager_one(self, kind, options):
        layer = getattr(layers, kind)(3, return_sequences=True, **options)
        steps = 4 if options.get("unroll") else None
        inputs = keras.Input((steps, 5))
        masked = keras.layers.Masking()(inputs)
        model = keras.Model(inputs, layer(masked))
        data = INPUTS.copy()
        data[1, 2:] = 0
        mask = np.any(data != 0, axis=-1)
        np.testing.assert_allclose(
            model.predict(data, verbose=0), layer(data, mask=mask), atol=1e-6
        )

    @parameterized.parameters(*KINDS)
    def test_empty_batch(self, kind):
        layer = getattr(layers, kind)(3, return_sequences=True)
        self.assertEqual(layer(np.zeros((0, 4, 5))).shape, (0, 4, 3))

    @parameterized.product(
        dtype=("float16", "bfloat16", "float64", "float32"),
        activation=("tanh", "relu"),
    )
    def test_pure_dtypes(self, dtype, activation):
        for kind in KINDS:
            layer = getattr(layers, kind)(
                3,
                activation=activation,
                dtype=dtype,
                return_state=True,
                recurrent_initializer="glorot_uniform",
            )
            for tensor in layer(INPUTS):
                self.assertEqual(tensor.dtype, dtype)
            self.assertTrue(all(w.dtype == dtype for w in layer.weights))


class FitTest(parameterized.TestCase):
    @parameterized.parameters(
        ("SimpleRNN", {"stateful": True}),
        ("LSTM", {"dtype": "mixed_bfloat16", "dropout": 0.05}),
        ("GRU", {"stateful": True, "dtype": "mixed_bfloat16"}),
    )
    def test_fit_learns(self, kind, options):
        keras.utils.set_random_seed(0)
        generator = np.random.default_rng(0)
        inputs = generator.normal(size=(64, 5, 3)).astype("float32")
        targets = np.cumsum(inputs, axis=1)[:, :, :1]
        layer = getattr(layers, kind)(12, return_sequences=True, **options)
        model = keras.Sequential(
            [
                keras.Input((5, 3), batch_size=32),
                layer,
                keras.layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.Adam(0.02), "mse")
        losses = model.fit(
            inputs, targets, batch_size=32, epochs=6, verbose=0
        ).history["loss"]
        self.assertLess(losses[-1], 0.9 * losses[0])

    def test_regularizers_count(self):
        layer = layers.LSTM(
            3,
            kernel_regularizer="l2",
            recurrent_regularizer="l2",
            bias_regularizer="l1",
            activity_regularizer="l2",
        )
        layer(INPUTS)
        self.assertLen(layer.losses, 4)


class ErrorTest(parameterized.TestCase):
    @parameterized.parameters(*KINDS)
    def test_units(self, kind):
        for units in (0, -3):
            for name in (kind, f"{kind}Cell"):
                with self.assertRaisesRegex(ValueError, "units.*positive"):
                    getattr(layers, name)(units)

    @parameterized.parameters(*KINDS)
    def test_unroll_without_length(self, kind):
        layer = getattr(layers, kind)(3, unroll=True)
        specification = tf.TensorSpec([None, None, 5])
        with self.assertRaisesRegex(ValueError, "Cannot unroll"):
            tf.function(layer).get_concrete_function(specification)

    @parameterized.parameters(*KINDS)
    def test_stateful_without_batch_size(self, kind):
        layer = getattr(layers, kind)(3, stateful=True)
        with self.assertRaisesRegex(ValueError, "batch size must be static"):
            layer(keras.Input((4, 5)))

    @parameterized.parameters(*KINDS)
    def test_stateful_with_another_batch_size(self, kind):
        layer = getattr(layers, kind)(3, stateful=True)
        layer(INPUTS)
        with self.assertRaisesRegex(ValueError, "batch size"):
            layer(INPUTS[:2])

    @parameterized.parameters(*KINDS)
    def test_rank(self, kind):
        with self.assertRaisesRegex(ValueError, "expected ndim=3"):
            getattr(layers, kind)(3)(INPUTS[0])

    @parameterized.parameters("LSTM", "GRU")
    def test_use_cudnn(self, kind):
        with self.assertRaisesRegex(ValueError, "use_cudnn"):
            getattr(layers, kind)(3, use_cudnn="yes")
        for use_cudnn in ("auto", False):
            layer = getattr(layers, kind)(3, use_cudnn=use_cudnn)
            self.assertEqual(layer(INPUTS).shape, (3, 3))
        if not tf.config.list_logical_devices("GPU"):
            layer = getattr(layers, kind)(3, use_cudnn=True)
            with self.assertRaisesRegex(ValueError, "use_cudnn=True"):
                layer(INPUTS)


if __name__ == "__main__":
    absltest.main()
