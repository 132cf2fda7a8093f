"""Generation on ids, with models whose answer is known beforehand."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sampling.known_models import VOCABULARY
from helpers.sampling.known_models import char_rnn
from helpers.sampling.known_models import constant_model
from helpers.sampling.known_models import count_from
from helpers.sampling.known_models import counting_model
from helpers.sampling.known_models import generate_ids

from kerasrnn.model.weights import UNKNOWN_LOGIT
from kerasrnn.sampling.generate import HISTORY
from kerasrnn.sampling.generate import log_probability
from kerasrnn.sampling.generate import read_prompt


class GenerateTest(parameterized.TestCase):
    def test_counts(self):
        for temperature in (0, 1):
            result = generate_ids(
                counting_model(),
                count_from(0, 4),
                length=8,
                temperature=temperature,
            )
            np.testing.assert_array_equal(
                result.ids,
                [[1, 2, 3, 4, 5, 6, 1, 2], [5, 6, 1, 2, 3, 4, 5, 6]],
            )
            np.testing.assert_array_equal(result.length, [8, 8])
            np.testing.assert_array_equal(result.draws, [8, 8])
            np.testing.assert_array_equal(result.states[0], [[2], [6]])
            np.testing.assert_array_equal(
                result.history[:, -9:],
                [[0, 1, 2, 3, 4, 5, 6, 1, 2], [0, 5, 6, 1, 2, 3, 4, 5, 6]],
            )
            np.testing.assert_array_equal(result.stopped, [False, False])
            np.testing.assert_allclose(result.log_prob, [0, 0], atol=1e-4)

    def test_lengths(self):
        result = generate_ids(
            counting_model(), count_from(0, 0, 2), length=[2, 0, 4]
        )
        np.testing.assert_array_equal(
            result.ids, [[1, 2, 0, 0], [0, 0, 0, 0], [3, 4, 5, 6]]
        )
        np.testing.assert_array_equal(result.length, [2, 0, 4])
        np.testing.assert_array_equal(result.draws, [2, 0, 4])
        np.testing.assert_array_equal(result.states[0], [[2], [0], [6]])
        np.testing.assert_array_equal(result.log_prob[1], 0)

    def test_no_length(self):
        result = generate_ids(counting_model(), count_from(3, 4), length=0)
        self.assertEqual(result.ids.shape, [2, 0])
        np.testing.assert_array_equal(result.states[0], [[3], [4]])

    def test_no_rows(self):
        result = generate_ids(counting_model(), [tf.zeros([0, 1])])
        self.assertEqual(result.ids.shape[0], 0)
        for tensor in (result.length, result.log_prob, result.draws):
            self.assertEqual(tensor.shape, [0])
        self.assertEqual(result.history.shape, [0, HISTORY])

    def test_temperature_0_is_the_likeliest(self):
        logits = np.random.default_rng(0).normal(size=(50, VOCABULARY))
        likeliest = np.argmax(logits, axis=1)
        for options in (
            {"temperature": 0},
            {"temperature": 0, "top_k": 3, "top_p": 0.5},
            {"temperature": 1, "top_k": 1},
            {"temperature": 5, "top_k": 1},
            {"temperature": 1, "top_p": 1e-6},
            {"temperature": 1, "top_p": 0},
            {"temperature": 1e-6},
        ):
            result = generate_ids(
                constant_model(),
                [tf.constant(logits, tf.float32)],
                length=3,
                **options,
            )
            np.testing.assert_array_equal(
                result.ids, np.tile(likeliest[:, None], 3), str(options)
            )

    def test_no_temperature_draws_the_unknown_character(self):
        logits = np.zeros([50, VOCABULARY], np.float32)
        logits[:, 0] = UNKNOWN_LOGIT
        for temperature in (1e7, 3e38, np.inf):
            result = generate_ids(
                constant_model(),
                [tf.constant(logits)],
                seed=np.arange(50),
                temperature=temperature,
            )
            self.assertGreater(np.min(result.ids), 0)
            self.assertLen(np.unique(result.ids), VOCABULARY - 1)

    def test_log_prob_is_at_temperature_1(self):
        logits = np.random.default_rng(0).normal(size=(4, VOCABULARY))
        result = generate_ids(
            constant_model(),
            [tf.constant(logits, tf.float32)],
            length=[5, 3, 0, 6],
            temperature=[1, 3, 1, 0],
            top_k=[0, 2, 0, 3],
        )
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        for row, length in enumerate([5, 3, 0, 6]):
            expected = log_p[row, result.ids[row, :length]].sum()
            self.assertAlmostEqual(
                float(result.log_prob[row]), expected, places=4
            )
        np.testing.assert_allclose(
            log_probability(tf.constant(logits, tf.float32), [1, 2, 3, 4]),
            log_p[range(4), [1, 2, 3, 4]],
            atol=1e-5,
        )


class ReadPromptTest(absltest.TestCase):
    def test_each_row_reads_its_own_length(self):
        ids = tf.constant([[1, 2, 3], [4, 5, 6], [6, 5, 4]])
        states = read_prompt(
            counting_model(),
            count_from(0, 0, 9),
            ids,
            tf.constant([3, 1, 0]),
        )
        np.testing.assert_array_equal(states[0], [[3], [4], [9]])

    def test_no_rows_and_no_columns(self):
        for shape in ((0, 3), (0, 0), (2, 0)):
            states = [tf.ones([shape[0], 1])]
            read = read_prompt(
                counting_model(),
                states,
                tf.zeros(shape, tf.int32),
                tf.zeros(shape[:1], tf.int32),
            )
            np.testing.assert_array_equal(read[0], states[0])

    def test_reading_then_generating_is_the_sequence(self):
        model, states = char_rnn("lstm")
        ids = tf.constant([[3, 4, 5, 6, 7], [8, 9, 1, 1, 1]])
        read = read_prompt(model, states(2), ids, tf.constant([5, 2]))
        by_hand = states(2)
        for time in range(5):
            by_hand = model.read(ids[:, time], by_hand)
        for a, b in zip(read, by_hand, strict=True):
            np.testing.assert_allclose(a[0], b[0], atol=1e-6)


if __name__ == "__main__":
    absltest.main()
