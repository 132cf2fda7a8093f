"""Tests of losses against NumPy, one character at a time."""

import math
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models

from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.text.batches.streams import number_of_streams
from kerasrnn.training.evaluation import evaluator as module
from kerasrnn.training.evaluation import loss_units
from kerasrnn.training.evaluation.evaluator import Evaluator
from kerasrnn.training.step import cross_entropy
from kerasrnn.training.step.flat_weights import Layout

CONFIG = small_models.make_config(
    small_models.make_vocabulary("characters"), units=6
)
WEIGHTS = small_models.random_weights(CONFIG)


class SequenceLossTest(absltest.TestCase):
    def test_is_the_cross_entropy_of_the_scored_characters(self):
        draws = np.random.default_rng(0)
        logits = draws.normal(size=(3, 5, 7)).astype(np.float32)
        logits[..., 0] = -1e9
        targets = draws.integers(0, 7, (3, 5), dtype=np.int32)
        targets[0, 0] = 0
        odds = np.exp(logits.astype(np.float64))
        log_probs = np.log(odds / odds.sum(-1, keepdims=True) + 1e-300)
        expected = -np.take_along_axis(log_probs, targets[..., None], -1)
        nats, characters = cross_entropy.sequence_loss(logits, targets)
        self.assertEqual(characters, (targets != 0).sum())
        np.testing.assert_allclose(
            nats, expected[targets != 0].sum(), rtol=1e-6
        )

    def test_unknown_targets_have_no_gradient(self):
        logits = tf.constant([[[-1e9, 1.0, 2.0], [-1e9, 3.0, 0.0]]])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            nats, _ = cross_entropy.sequence_loss(logits, tf.constant([[0, 2]]))
        gradient = tape.gradient(nats, logits).numpy()
        np.testing.assert_array_equal(gradient[0, 0], 0)
        self.assertTrue(np.isfinite(gradient).all())
        self.assertLess(gradient[0, 1, 2], 0)


class UnitsTest(absltest.TestCase):
    def test_units(self):
        result = loss_units.Evaluation(nats=2 * math.log(2), characters=2)
        self.assertAlmostEqual(result.loss, math.log(2))
        self.assertAlmostEqual(result.bits, 1.0)
        self.assertAlmostEqual(result.perplexity, 2.0)
        self.assertEqual(loss_units.perplexity(1e6), math.inf)


class EvaluatorTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        names = tuple(map(str, range(len(WEIGHTS))))
        self.layout = Layout(names, tuple(w.shape for w in WEIGHTS))
        self.flat = np.concatenate([w.ravel() for w in WEIGHTS])
        draws = np.random.default_rng(1)
        self.ids = draws.integers(
            0, CONFIG.vocabulary_size, 200, dtype=np.uint8
        )

    def evaluate(
        self,
        ranges,
        streams,
        start_id=None,
        sequence_length=8,
        most=0,
        context=0,
    ):
        evaluator = Evaluator(CONFIG, self.layout, sequence_length)
        return evaluator(
            self.flat, self.ids, ranges, streams, start_id, most, context
        )

    def expected(self, streams, start_id, contexts=None):
        """Reads streams, lists of ids, one character at a time."""
        nats, characters = 0.0, 0
        for index, stream in enumerate(streams):
            unscored = len(contexts[index]) if contexts else 0
            if contexts:
                stream = np.concatenate([contexts[index], stream])
            model = small_models.NumpyModel(CONFIG, WEIGHTS)
            stream = [int(token) for token in stream]
            if start_id is not None:
                stream.insert(0, start_id)
            pairs = zip(stream, stream[1:], strict=False)
            for number, (token, target) in enumerate(pairs, 1):
                model.read(token)
                if target and number >= unscored:
                    nats -= model.log_probs()[target]
                    characters += 1
        return nats, characters

    @parameterized.parameters(None, 3)
    def test_one_stream(self, start_id):
        result = self.evaluate([(20, 63)], 1, start_id)
        nats, characters = self.expected([self.ids[20:63]], start_id)
        self.assertEqual(result.characters, characters)
        self.assertAlmostEqual(result.loss, nats / characters, delta=1e-6)

    @parameterized.parameters(None, 3)
    def test_joined_and_cut_into_streams(self, start_id):
        ranges = [(0, 50), (90, 121)]
        joined = np.concatenate([self.ids[0:50], self.ids[90:121]])
        cuts = [joined[81 * i // 4 : 81 * (i + 1) // 4] for i in range(4)]
        result = self.evaluate(ranges, 4, start_id)
        nats, characters = self.expected(cuts, start_id)
        self.assertEqual(result.characters, characters)
        self.assertAlmostEqual(result.loss, nats / characters, delta=1e-6)

    def test_ranges_are_the_streams_if_there_are_as_many(self):
        ranges = [(0, 30), (60, 101), (150, 200)]
        result = self.evaluate(ranges, 3)
        streams = [self.ids[start:stop] for start, stop in ranges]
        nats, characters = self.expected(streams, None)
        self.assertEqual(result.characters, characters)
        self.assertAlmostEqual(result.loss, nats / characters, delta=1e-6)

    @parameterized.parameters(None, 3)
    def test_a_sample_is_the_start_of_each_stream(self, start_id):
        ranges = [(0, 50), (90, 121)]
        joined = np.concatenate([self.ids[0:50], self.ids[90:121]])
        cuts = [joined[81 * i // 4 :][:15] for i in range(4)]
        result = self.evaluate(ranges, 4, start_id, most=63)
        nats, characters = self.expected(cuts, start_id)
        self.assertEqual(result.characters, characters)
        self.assertAlmostEqual(result.loss, nats / characters, delta=1e-6)
        # Of streams that differ in length, a short one is read to its end.
        result = self.evaluate([(0, 8), (60, 101)], 2, start_id, most=40)
        nats, characters = self.expected(
            [self.ids[0:8], self.ids[60:80]], start_id
        )
        self.assertEqual(result.characters, characters)
        self.assertAlmostEqual(result.loss, nats / characters, delta=1e-6)

    @parameterized.parameters((0, 81), (0, 27), (13, 81), (13, 27))
    def test_a_context_is_read_before_each_stream(self, start, most):
        ranges = [(start, 50), (90, 121 + start)]
        joined = np.concatenate([self.ids[i:j] for i, j in ranges])
        places = np.concatenate([np.arange(i, j) for i, j in ranges])
        edges = [0, 27, 54, 81]
        cuts = [
            joined[i:j][: most // 3]
            for i, j in zip(edges, edges[1:], strict=False)
        ]
        contexts = [
            self.ids[max(places[edge] - 20, 0) : places[edge]]
            for edge in edges[:-1]
        ]
        result = self.evaluate(
            ranges, 3, most=most if most < 81 else 0, context=20
        )
        nats, characters = self.expected(cuts, None, contexts)
        self.assertEqual(result.characters, characters)
        self.assertAlmostEqual(result.loss, nats / characters, delta=1e-6)

    def test_with_a_context_each_character_is_scored_once(self):
        self.ids[:] = np.maximum(self.ids, 1)
        for streams in (1, 2, 5, 7):
            result = self.evaluate([(30, 200)], streams, context=16)
            self.assertEqual(result.characters, 170)

    def test_sequence_length_changes_nothing(self):
        results = [
            self.evaluate([(9, 200)], 3, sequence_length=length, context=30)
            for length in (1, 7, 500)
        ]
        for result in results:
            self.assertEqual(result.characters, results[0].characters)
            self.assertAlmostEqual(result.loss, results[0].loss, delta=1e-6)

    def test_texts_of_all_lengths_are_read_by_one_trace(self):
        evaluator = Evaluator(CONFIG, self.layout, 8)
        with mock.patch.object(
            module, "sequence_logits", wraps=sequence_logits
        ) as traced:
            evaluator(self.flat, self.ids, [(0, 17)], 2)
            first = traced.call_count
            for length in (33, 65, 200):
                evaluator(self.flat, self.ids, [(0, length)], 2)
        self.assertGreater(first, 0)
        self.assertEqual(traced.call_count, first)

    def test_between_calls_can_end_it(self):
        def stop(share):
            raise InterruptedError(share)

        evaluator = Evaluator(CONFIG, self.layout, 8)
        with self.assertRaises(InterruptedError):
            evaluator(self.flat, self.ids, [(0, 200)], 2, between_calls=stop)

    def test_nothing_to_score_is_refused(self):
        with self.assertRaisesRegex(UserError, "no character to score"):
            self.evaluate([(5, 6)], 1)
        self.ids[:] = 0
        with self.assertRaisesRegex(UserError, "no character to score"):
            self.evaluate([(0, 50)], 1)

    def test_number_of_streams(self):
        number = number_of_streams
        self.assertEqual(number([(0, 10_000)], 50, 50), 50)
        self.assertEqual(number([(0, 1_000)], 50, 50), 20)
        self.assertEqual(number([(0, 10)], 50, 50), 1)
        self.assertEqual(number([(0, 10), (20, 30)], 2, 50), 2)


if __name__ == "__main__":
    absltest.main()
