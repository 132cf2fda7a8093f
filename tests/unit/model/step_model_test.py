"""The model of one step against NumPy, whole and cut into pieces."""

import itertools
import math

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models

from kerasrnn.config import ModelConfig
from kerasrnn.model.step import call_by_rows
from kerasrnn.model.step import step_model
from kerasrnn.model.weights import state_sizes

VOCABULARY = 11
# Such that every kernel is cut, and not into equal pieces.
UNITS = {"simple_rnn": 600, "lstm": 272, "gru": 304}
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (3, 4), np.int32)
_EACH_MODEL = tuple(itertools.product(UNITS, (0, 5)))


def _model(cell, embedding_size):
    config = ModelConfig(
        vocabulary_size=VOCABULARY,
        cell=cell,
        units=UNITS[cell],
        num_layers=2,
        embedding_size=embedding_size,
    )
    weights = small_models.random_weights(
        config, scale=1 / math.sqrt(config.units)
    )
    return config, weights


def _zeros(config, rows):
    return [tf.zeros([rows, size]) for size in state_sizes(config)]


class StepModelTest(parameterized.TestCase):
    @parameterized.parameters(
        *(
            (*model, few_rows)
            for model, few_rows in itertools.product(_EACH_MODEL, (False, True))
        )
    )
    def test_equals_the_equations(self, cell, embedding_size, few_rows):
        config, weights = _model(cell, embedding_size)
        model = step_model(config, weights, few_rows)
        states = _zeros(config, len(TOKENS))
        oracles = [
            small_models.NumpyModel(config, weights) for _ in range(len(TOKENS))
        ]
        for time in range(TOKENS.shape[1]):
            states = model.read(tf.constant(TOKENS[:, time]), states)
            log_probs = tf.nn.log_softmax(model.logits(states)).numpy()
            for row, oracle in enumerate(oracles):
                oracle.read(TOKENS[row, time])
                np.testing.assert_allclose(
                    log_probs[row, 1:], oracle.log_probs()[1:], atol=1e-4
                )

    @parameterized.parameters(*_EACH_MODEL)
    def test_any_number_of_rows(self, cell, embedding_size):
        """One graph serves all, and what is read is the same but rounding."""
        config, weights = _model(cell, embedding_size)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.int32),
                [tf.TensorSpec([None, n]) for n in state_sizes(config)],
            ],
            autograph=False,
        )
        def read(ids, states):
            return call_by_rows(
                config,
                tf.shape(ids)[0],
                lambda few: step_model(config, weights, few).read(ids, states),
            )

        plain = step_model(config, weights)
        for rows in (0, 1, 3, 4, 9):
            ids = tf.constant(np.resize(TOKENS, rows))
            states = plain.read(ids, _zeros(config, rows))
            expected = plain.read(ids, states)
            for one, other in zip(read(ids, states), expected, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-5)


if __name__ == "__main__":
    absltest.main()
