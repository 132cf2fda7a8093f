"""Tests that a batch in pieces gives what the batch gives."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.training.step.devices import make_strategy
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.trainer import Trainer

B, T, V, UNITS, STEPS = 12, 7, 11, 16, 5


def train(pieces, **options):
    """Returns the records, the states and the weights of some steps."""
    model = {
        "cell": "lstm",
        "dropout": 0.3,
        "recurrent_kernel_dropout": 0.3,
        "dropout_warmup_steps": 2,
        "num_layers": 2,
        **options,
    }
    jit_compile = model.pop("jit_compile", "off")
    config = Config(
        model=ModelConfig(vocabulary_size=V, units=UNITS, **model),
        training=TrainingConfig(
            batch_size=B,
            sequence_length=T,
            accumulation_steps=pieces,
            jit_compile=jit_compile,
            # Adam would magnify rounding where a gradient is nearly 0.
            optimizer="sgd",
            averaging=0.0,
        ),
    )
    trainer = Trainer(
        config, make_strategy("one_device"), *initial_weights(config.model, 3)
    )
    draws = np.random.default_rng(0)
    inputs, targets = draws.integers(0, V, (2, STEPS, B, T), dtype=np.int32)
    count = 2 * 2 if model["cell"] == "lstm" else 2
    states = [
        tf.constant(draws.normal(size=[B, UNITS]), tf.float32)
        for _ in range(count)
    ]
    states, records = trainer.run(
        tf.constant(inputs), tf.constant(targets), states, 0, [0.5] * STEPS
    )
    return records, states, trainer.snapshot()["weights"]


class AccumulationTest(parameterized.TestCase):
    @parameterized.parameters(
        {"cell": "lstm"},
        {"cell": "gru", "embedding_size": 5},
        {"cell": "lstm", "jit_compile": "on"},
    )
    def test_pieces_equal_one_batch(self, **options):
        expected_records, expected_states, expected = train(1, **options)
        for pieces in (12,) if options.get("jit_compile") else (3, 12):
            records, states, weights = train(pieces, **options)
            np.testing.assert_allclose(weights, expected, atol=1e-6)
            np.testing.assert_allclose(
                records.nats / records.characters,
                expected_records.nats / expected_records.characters,
                atol=1e-6,
            )
            np.testing.assert_array_equal(
                records.characters, expected_records.characters
            )
            for state, other in zip(states, expected_states, strict=True):
                np.testing.assert_allclose(state, other, atol=1e-6)

    def test_pieces_that_do_not_fit(self):
        with self.assertRaisesRegex(UserError, "a divisor of 12"):
            train(5)


if __name__ == "__main__":
    absltest.main()
