"""Tests of updates, schedules and clipping against Keras and NumPy."""

import dataclasses
import itertools
import math

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.config import OPTIMIZERS
from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.training.step import optimizer
from kerasrnn.training.step.devices import make_strategy
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.schedule import learning_rate
from kerasrnn.training.step.trainer import Trainer

B, T, V = 4, 6, 9


class UpdateTest(parameterized.TestCase):
    @parameterized.named_parameters(
        (
            "adam",
            {"optimizer": "adam", "clip_norm": 0.05, "epsilon": 1e-4},
        ),
        (
            "adamw",
            {"optimizer": "adamw", "weight_decay": 0.3, "epsilon": 1e-4},
        ),
        ("sgd", {"optimizer": "sgd", "clip_value": 0.01, "clip_norm": 0.05}),
        (
            "rmsprop",
            {"optimizer": "rmsprop", "epsilon": 1e-3, "clip_norm": 0.0},
        ),
    )
    def test_steps_equal_those_of_keras(self, options):
        training = TrainingConfig(
            batch_size=B,
            sequence_length=T,
            averaging=0.9,
            jit_compile="off",
            **options,
        )
        config = Config(
            model=ModelConfig(vocabulary_size=V, units=5, dropout=0.0),
            training=training,
        )
        draws = np.random.default_rng(0)
        inputs, targets = draws.integers(1, V, (2, 3, B, T), dtype=np.int32)
        rates = [0.1, 0.05, 0.2]
        expected, average = _train_with_keras(config, inputs, targets, rates)

        layout, weights = initial_weights(config.model, seed=1)
        trainer = Trainer(config, make_strategy("one_device"), layout, weights)
        trainer.run(
            tf.constant(inputs),
            tf.constant(targets),
            [tf.zeros([B, 5])] * 4,
            0,
            rates,
        )
        actual = trainer.snapshot()
        np.testing.assert_allclose(actual["weights"], expected, atol=2e-5)
        np.testing.assert_allclose(actual["average"], average, atol=2e-5)
        np.testing.assert_array_equal(
            trainer.evaluation_weights, actual["average"]
        )

    def test_number_of_steps_a_call_changes_nothing(self):
        config = Config(
            model=ModelConfig(vocabulary_size=V, units=5, dropout=0.3),
            training=TrainingConfig(
                batch_size=B, sequence_length=T, jit_compile="off"
            ),
        )
        draws = np.random.default_rng(0)
        inputs, targets = draws.integers(1, V, (2, 7, B, T), dtype=np.int32)
        results = []
        for cuts in ((0, 7), (0, 1, 3, 7)):
            layout, weights = initial_weights(config.model, seed=1)
            trainer = Trainer(config, make_strategy(), layout, weights)
            states, nats = [tf.zeros([B, 5])] * 4, []
            for start, stop in zip(cuts, cuts[1:], strict=False):
                states, records = trainer.run(
                    tf.constant(inputs[start:stop]),
                    tf.constant(targets[start:stop]),
                    states,
                    start,
                    [1e-2] * (stop - start),
                )
                nats += records.nats.tolist()
            results.append((nats, trainer.snapshot()))
        self.assertEqual(results[0][0], results[1][0])
        for name, array in results[0][1].items():
            np.testing.assert_array_equal(array, results[1][1][name], name)

    def test_rmsprop_is_that_of_torch(self):
        config = TrainingConfig(optimizer="rmsprop", beta_2=0.9, epsilon=1e-8)
        rmsprop = optimizer.make_optimizer(config)
        variable = keras.Variable([1.0, -2.0, 3.0])
        rmsprop.build([variable])
        expected, mean_square = np.array([1.0, -2.0, 3.0]), np.zeros(3)
        for step in range(5):
            gradient = np.array([0.5, -1e-3, 0.0]) * (step + 1)
            mean_square = 0.9 * mean_square + 0.1 * gradient**2
            expected -= 0.01 * gradient / (np.sqrt(mean_square) + 1e-8)
            rmsprop.update_step(
                tf.constant(gradient, tf.float32), variable.value, 0.01
            )
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-5)

    @parameterized.parameters(*OPTIMIZERS)
    def test_the_least_epsilon_keeps_all_finite(self, name):
        config = TrainingConfig(optimizer=name, epsilon=1e-18)
        keras_optimizer = optimizer.make_optimizer(config)
        variable = keras.Variable([1.0, -2.0, 3.0])
        keras_optimizer.build([variable])
        for _ in range(3):
            gradient = tf.constant([0.0, 1e-30, 0.1])
            keras_optimizer.update_step(gradient, variable.value, 0.01)
        weights = variable.numpy()
        # One without a gradient, and one whose square is 0.
        np.testing.assert_allclose(weights[:2], [1.0, -2.0], atol=1e-6)
        self.assertBetween(weights[2], 2.0, 2.999)
        for epsilon in (0, 0.0, 1e-30, -1e-8):
            with self.assertRaisesRegex(UserError, "epsilon must be from"):
                dataclasses.replace(config, epsilon=epsilon)

    def test_clips_elements_then_the_norm(self):
        config = TrainingConfig(clip_value=1.0, clip_norm=0.5)
        gradient, norm = optimizer.clip(tf.constant([3.0, 4.0, 0.1]), config)
        clipped = np.array([1.0, 1.0, 0.1])
        expected = np.linalg.norm(clipped)
        self.assertAlmostEqual(float(norm), expected, places=6)
        np.testing.assert_allclose(
            gradient, clipped * 0.5 / expected, rtol=1e-6
        )

    @parameterized.parameters(
        itertools.product(
            (math.inf, -math.inf, math.nan), (0.0, 1.0), (0.0, 1.0)
        )
    )
    def test_clipping_hides_no_overflow(self, element, value, limit):
        config = TrainingConfig(clip_value=value, clip_norm=limit)
        gradient = tf.constant([3.0, element, 4.0])
        _, norm = optimizer.clip(gradient, config)
        self.assertFalse(math.isfinite(norm.numpy()))
        # A large element is none: it is clipped as before.
        if value:
            _, norm = optimizer.clip(tf.constant([1e30, 0.0]), config)
            self.assertEqual(norm.numpy(), 1.0)

    def test_small_gradient_is_not_clipped(self):
        config = TrainingConfig(clip_norm=10.0)
        gradient, norm = optimizer.clip(tf.constant([3.0, 4.0]), config)
        np.testing.assert_array_equal(gradient, [3.0, 4.0])
        self.assertEqual(float(norm), 5.0)

    def test_infinite_gradient_shows_in_the_norm(self):
        config = TrainingConfig(clip_norm=1.0)
        _, norm = optimizer.clip(tf.constant([math.nan, 4.0]), config)
        self.assertTrue(math.isnan(norm))

    def test_average_forgets_the_first_weights(self):
        config = TrainingConfig(averaging=0.999)
        momenta = [
            float(optimizer.averaging_momentum(config, tf.constant(step)))
            for step in (0, 8, 10**6)
        ]
        np.testing.assert_allclose(momenta, [0.1, 0.5, 0.999], rtol=1e-6)


class ScheduleTest(absltest.TestCase):
    def rate(self, step, total=1000, **options):
        options = {"learning_rate": 1.0, "warmup_steps": 0, **options}
        return learning_rate(TrainingConfig(**options), step, 10, total)

    def test_constant(self):
        self.assertEqual(self.rate(999, schedule="constant"), 1.0)

    def test_warm_up_rises_linearly(self):
        options = {"schedule": "constant", "warmup_steps": 4}
        rates = [self.rate(step, **options) for step in range(5)]
        self.assertEqual(rates, [0.25, 0.5, 0.75, 1.0, 1.0])

    def test_warm_up_takes_at_most_half(self):
        options = {"schedule": "constant", "warmup_steps": 400, "total": 8}
        self.assertEqual(self.rate(3, **options), 1.0)

    def test_exponential_is_that_of_charrnn(self):
        options = {
            "schedule": "exponential",
            "decay_rate": 0.97,
            "decay_after": 10,
        }
        self.assertEqual(self.rate(99, **options), 1.0)
        self.assertEqual(self.rate(100, **options), 0.97)
        # 50 epochs are over: 41 factors.
        self.assertAlmostEqual(self.rate(500, **options), 0.97**41)

    def test_step_is_that_of_torchrnn(self):
        options = {"schedule": "step", "decay_rate": 0.5, "decay_after": 5}
        # Its iteration i, from 1, is our step i - 1, and its epoch is
        # i // 10 + 1; the rate halves before a step that ends an epoch.
        rate, expected = 1.0, []
        for i in range(1, 201):
            if i % 10 == 0 and (i // 10 + 1) % 5 == 0:
                rate *= 0.5
            expected.append(rate)
        rates = [self.rate(step, **options) for step in range(200)]
        self.assertEqual(rates, expected)

    def test_cosine_ends_at_zero(self):
        options = {"schedule": "cosine", "warmup_steps": 100}
        self.assertEqual(self.rate(100, **options), 1.0)
        self.assertAlmostEqual(self.rate(550, **options), 0.5)
        self.assertAlmostEqual(self.rate(1000, **options), 0.0)
        self.assertAlmostEqual(self.rate(2000, **options), 0.0)


def _train_with_keras(config, inputs, targets, rates):
    """Trains a `CharRNN` variable by variable, as a user of Keras would."""
    training = config.training
    keras.utils.set_random_seed(1)
    model = CharRNN(config.model)
    model.build_weights()
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if training.optimizer == "adam":
        method = keras.optimizers.Adam(
            beta_1=training.beta_1,
            beta_2=training.beta_2,
            epsilon=training.epsilon,
        )
    elif training.optimizer == "adamw":
        method = keras.optimizers.AdamW(
            beta_1=training.beta_1,
            beta_2=training.beta_2,
            epsilon=training.epsilon,
            weight_decay=training.weight_decay,
        )
        method.exclude_from_weight_decay(var_names=["bias"])
    elif training.optimizer == "sgd":
        method = keras.optimizers.SGD(momentum=training.beta_1)
    else:
        method = keras.optimizers.RMSprop(
            rho=training.beta_2, epsilon=training.epsilon**2
        )
    average = [v.numpy() for v in model.weights]
    states = None
    for step, rate in enumerate(rates):
        method.learning_rate = rate
        with tf.GradientTape() as tape:
            logits, states = model(inputs[step], states=states)
            loss = loss_function(targets[step], logits)
        gradients = tape.gradient(loss, [v.value for v in model.weights])
        if training.clip_value:
            gradients = [
                tf.clip_by_value(g, -training.clip_value, training.clip_value)
                for g in gradients
            ]
        if training.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, training.clip_norm)
        method.apply_gradients(zip(gradients, model.weights, strict=True))
        momentum = min(training.averaging, (1 + step) / (10 + step))
        average = [
            momentum * a + (1 - momentum) * v.numpy()
            for a, v in zip(average, model.weights, strict=True)
        ]
    flat = np.concatenate([v.numpy().ravel() for v in model.weights])
    return flat, np.concatenate([a.ravel() for a in average])


if __name__ == "__main__":
    absltest.main()
