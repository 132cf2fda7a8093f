"""A model that has read a separator knows nothing of what was before it.

The oracle is the model in NumPy that is made anew at each separator.
"""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from helpers.models.documents import NETWORKS
from helpers.models.documents import SEPARATOR_ID
from helpers.models.documents import VOCABULARY
from helpers.models.documents import DocumentsModel
from helpers.models.documents import make_config
from helpers.models.documents import random_ids
from helpers.models.documents import random_states
from helpers.models.documents import score

from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.char_rnn import step_model
from kerasrnn.training.step.flat_weights import layout
from kerasrnn.training.step.gradients import make_loss_gradient


class ModelTest(parameterized.TestCase):
    @parameterized.parameters(*NETWORKS)
    def test_logits_after_a_separator_are_those_of_a_fresh_start(self, **net):
        config = make_config(**net)
        weights = small_models.random_weights(config)
        chance = np.random.default_rng(0)
        ids = np.stack([random_ids(chance, 40) for _ in range(5)])
        marks = chance.random(ids.shape) < 0.1
        tokens = np.where(marks, ~ids, ids).astype(np.int32)
        states = random_states(config, 5)
        logits, _ = sequence_logits(config, weights, tokens, states)
        actual = tf.nn.log_softmax(logits).numpy()
        for row in range(5):
            oracle, known = DocumentsModel(config, weights), False
            for time, token in enumerate(ids[row]):
                oracle.read(token, marks[row, time])
                known |= marks[row, time] or token == SEPARATOR_ID
                if known:
                    np.testing.assert_allclose(
                        actual[row, time, 1:],
                        oracle.log_probs()[1:],
                        atol=2e-5,
                    )

    @parameterized.parameters(*NETWORKS)
    def test_a_step_forgets_at_a_separator_and_only_there(self, **net):
        config = make_config(**net)
        weights = small_models.random_weights(config)
        model = step_model(config, weights)
        separator = tf.constant([SEPARATOR_ID, 3])
        first, second = (
            model.read(separator, random_states(config, 2, seed))
            for seed in (0, 1)
        )
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            self.assertGreater(np.abs(one[1] - other[1]).max(), 1e-3)

    def test_without_separators_nothing_is_reset(self):
        config = small_models.make_config(VOCABULARY)
        weights = small_models.random_weights(config)
        tokens = np.array([[2, SEPARATOR_ID, 3]], np.int32)
        one, other = (
            sequence_logits(
                config, weights, tokens, random_states(config, 1, s)
            )[0].numpy()
            for s in (0, 1)
        )
        self.assertGreater(np.abs(one[0, 2] - other[0, 2]).max(), 1e-3)


class TrainingTest(parameterized.TestCase):
    @parameterized.product(
        network=NETWORKS[:2],
        jit_compile=("off", "auto"),
    )
    def test_changing_a_document_never_changes_the_next(
        self, network, jit_compile
    ):
        """Losses and gradients of document 2, whatever document 1 is."""
        config = make_config(**network)
        names = layout(config)
        weights = small_models.random_weights(config)
        flat = np.concatenate([weight.ravel() for weight in weights])
        step = tf.function(
            make_loss_gradient(config, names, jit_compile), autograph=False
        )
        rows = 32  # two parts, where the batch is cut
        chance = np.random.default_rng(0)
        second = chance.integers(2, len(VOCABULARY), [rows, 8])
        results = []
        for seed in range(3):
            first = chance.integers(2, len(VOCABULARY), [rows, 6])
            separators = np.full([rows, 1], SEPARATOR_ID)
            text = np.concatenate([first, separators, second], axis=1)
            targets = text[:, 1:].copy()
            targets[:, :6] = 0  # only document 2 is scored
            nats, characters, gradient, states = step(
                tf.constant(flat),
                tf.constant(text[:, :-1], tf.int32),
                tf.constant(targets, tf.int32),
                random_states(config, rows, seed),
                tf.constant([1, 5, 0], tf.int64),  # with dropout
            )
            self.assertEqual(characters, rows * 8)
            results.append([nats, gradient, *states])
        for other in results[1:]:
            for value, expected in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(value, expected)

    def test_loss_of_documents_is_the_oracles(self):
        config = make_config()
        weights = small_models.random_weights(config)
        names = layout(config)
        chance = np.random.default_rng(1)
        text = np.stack([random_ids(chance, 31) for _ in range(3)])
        expected = 0.0
        for row in text:
            expected -= score(config, weights, row[1:]).sum()
        # A zero state, and a separator first.
        text[:, 0] = SEPARATOR_ID
        nats, *_ = make_loss_gradient(
            small_models.make_config(
                VOCABULARY, separator_id=SEPARATOR_ID, dropout=0.0
            ),
            names,
            "off",
        )(
            tf.constant(np.concatenate([w.ravel() for w in weights])),
            tf.constant(text[:, :-1], tf.int32),
            tf.constant(text[:, 1:], tf.int32),
            random_states(config, 3),
            tf.constant([0, 0, 0], tf.int64),
        )
        self.assertAlmostEqual(float(nats) / expected, 1.0, places=5)


if __name__ == "__main__":
    absltest.main()
