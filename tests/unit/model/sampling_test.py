"""Generation on ids, with models whose answer is known beforehand."""

import functools
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from helpers.models.chi_square import check_chi_square

from kerasrnn.config import ModelConfig
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.model.weights import UNKNOWN_LOGIT
from kerasrnn.sampling import gumbel
from kerasrnn.sampling.generate import HISTORY
from kerasrnn.sampling.generate import StepModel
from kerasrnn.sampling.generate import generate
from kerasrnn.sampling.generate import log_probability
from kerasrnn.sampling.generate import read_prompt

VOCABULARY = 7
INT64 = np.iinfo(np.int64)


@functools.cache
def _counting_model(size=VOCABULARY, certainty=30.0):
    """After id i comes i + 1, after the last comes 1; the state is i."""

    def logits(states):
        following = states[0][:, 0] % (size - 1) + 1
        return certainty * tf.one_hot(tf.cast(following, tf.int32), size)

    return StepModel(
        lambda ids, states: [tf.cast(ids, tf.float32)[:, None]], logits
    )


@functools.cache
def _constant_model():
    """The state is the logits, whatever is read."""
    return StepModel(lambda ids, states: states, lambda states: states[0])


@functools.cache
def _char_rnn(cell="gru"):
    model = CharRNN(
        ModelConfig(vocabulary_size=20, units=8, cell=cell, embedding_size=4)
    )
    model.build_weights()
    model.set_weights(small_models.random_weights(model.config))
    return model.step_model(), model.initial_states


def _stop(*rows):
    """Returns the arguments for these stop strings, lists of ids."""
    padded = [[0] * (HISTORY + 1 - len(row)) + list(row) for row in rows]
    return {
        "stop": tf.constant(padded, tf.int32, [len(rows), HISTORY + 1]),
        "stop_length": tf.constant([len(row) for row in rows], tf.int32),
    }


def _arguments(rows, **given):
    """Returns all arguments of `generate`, a number standing for all rows."""
    arguments = {
        "length": np.int32(10),
        "temperature": np.float32(1),
        "top_k": np.int32(0),
        "top_p": np.float32(1),
        "seed": np.int64(0),
        "draws": np.int64(0),
    }
    for name, default in arguments.items():
        value = np.asarray(given.pop(name, default), default.dtype)
        arguments[name] = tf.constant(np.broadcast_to(value, [rows]))
    return {
        **arguments,
        "history": tf.zeros([rows, HISTORY], tf.int32),
        "stop": tf.zeros([rows, HISTORY + 1], tf.int32),
        "stop_length": tf.zeros([rows], tf.int32),
        **given,
    }


@functools.cache
def _graph(model, widths):
    """`generate` as a graph for any number of rows."""
    states = [tf.TensorSpec([None, width]) for width in widths]
    arguments = {
        name: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
        for name, value in _arguments(1).items()
    }
    return tf.function(
        lambda states, arguments: generate(model, states, **arguments),
        input_signature=[states, arguments],
        autograph=False,
    )


def _generate(model, states, **given):
    widths = tuple(state.shape[1] for state in states)
    arguments = _arguments(states[0].shape[0], **given)
    return _graph(model, widths)(states, arguments)


def _count_from(*starts):
    return [tf.constant(starts, tf.float32)[:, None]]


class GenerateTest(parameterized.TestCase):
    def test_counts(self):
        for temperature in (0, 1):
            result = _generate(
                _counting_model(),
                _count_from(0, 4),
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
        result = _generate(
            _counting_model(), _count_from(0, 0, 2), length=[2, 0, 4]
        )
        np.testing.assert_array_equal(
            result.ids, [[1, 2, 0, 0], [0, 0, 0, 0], [3, 4, 5, 6]]
        )
        np.testing.assert_array_equal(result.length, [2, 0, 4])
        np.testing.assert_array_equal(result.draws, [2, 0, 4])
        np.testing.assert_array_equal(result.states[0], [[2], [0], [6]])
        np.testing.assert_array_equal(result.log_prob[1], 0)

    def test_no_length(self):
        result = _generate(_counting_model(), _count_from(3, 4), length=0)
        self.assertEqual(result.ids.shape, [2, 0])
        np.testing.assert_array_equal(result.states[0], [[3], [4]])

    def test_no_rows(self):
        result = _generate(_counting_model(), [tf.zeros([0, 1])])
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
            result = _generate(
                _constant_model(),
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
            result = _generate(
                _constant_model(),
                [tf.constant(logits)],
                seed=np.arange(50),
                temperature=temperature,
            )
            self.assertGreater(np.min(result.ids), 0)
            self.assertLen(np.unique(result.ids), VOCABULARY - 1)

    def test_log_prob_is_at_temperature_1(self):
        logits = np.random.default_rng(0).normal(size=(4, VOCABULARY))
        result = _generate(
            _constant_model(),
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


class RandomnessTest(parameterized.TestCase):
    def test_same_seed_same_text(self):
        model, states = _char_rnn()
        seeds = [5, 6, 5, INT64.min, INT64.max, -1, 2**32 + 5]
        result = _generate(model, states(7), length=40, seed=seeds)
        texts = [tuple(row) for row in result.ids.numpy()]
        self.assertEqual(texts[0], texts[2])
        self.assertLen(set(texts), 6)
        again = _generate(model, states(7), length=40, seed=seeds)
        np.testing.assert_array_equal(again.ids, result.ids)

    @parameterized.parameters(1, 3, 4, 7, 19)
    def test_calls_in_a_row_equal_one(self, first):
        model, states = _char_rnn("lstm")
        options = {
            "temperature": [1, 0.7, 0, 2],
            "top_k": [0, 5, 0, 0],
            "top_p": [1, 1, 1, 0.8],
            "seed": [1, 2, 3, INT64.min],
        }
        whole = _generate(model, states(4), length=20, **options)
        head = _generate(model, states(4), length=first, **options)
        tail = _generate(
            model,
            head.states,
            length=20 - first,
            draws=head.draws,
            history=head.history,
            **options,
        )
        np.testing.assert_array_equal(
            tf.concat([head.ids, tail.ids], axis=1), whole.ids
        )
        np.testing.assert_allclose(
            head.log_prob + tail.log_prob, whole.log_prob, atol=1e-3
        )
        np.testing.assert_array_equal(tail.draws, whole.draws)
        np.testing.assert_array_equal(tail.history, whole.history)

    @parameterized.parameters("lstm", "gru")
    def test_blocks_equal_steps(self, cell):
        """A neighbour that ends early changes the loop, and nothing else."""
        model, states = _char_rnn(cell)
        options = {"temperature": [1, 0.7, 0], "seed": [1, 2, 3]}
        alike = _generate(model, states(3), length=21, **options)
        uneven = _generate(model, states(3), length=[21, 21, 3], **options)
        for name in ("ids", "length", "log_prob", "draws", "history"):
            np.testing.assert_array_equal(
                getattr(alike, name)[:2], getattr(uneven, name)[:2], name
            )
        for one, other in zip(alike.states, uneven.states, strict=True):
            np.testing.assert_array_equal(one[:2], other[:2])
        np.testing.assert_array_equal(alike.ids[2, :3], uneven.ids[2, :3])

    @parameterized.parameters(1, 7, 8, 9, 16)
    def test_blocks_in_a_row_equal_one(self, first):
        model, states = _char_rnn("lstm")
        whole = _generate(model, states(2), length=25)
        head = _generate(model, states(2), length=first)
        carried = {"draws": head.draws, "history": head.history}
        tail = _generate(model, head.states, length=25 - first, **carried)
        ids = tf.concat([head.ids, tail.ids], axis=1)
        np.testing.assert_array_equal(ids, whole.ids)
        for one, other in zip(tail.states, whole.states, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(tail.history, whole.history)

    def test_the_place_in_the_batch_does_not_matter(self):
        model, states = _char_rnn()
        options = {
            "length": np.array([30, 12, 25, 0, 30]),
            "temperature": np.array([1, 0.5, 0, 1, 1.5]),
            "top_k": np.array([0, 3, 0, 0, 0]),
            "top_p": np.array([1, 1, 1, 1, 0.7]),
            "seed": np.array([1, 2, 3, 4, INT64.max]),
        }
        whole = _generate(model, states(5), **options)
        order = np.array([4, 2, 0, 3, 1])
        permuted = _generate(
            model, states(5), **{k: v[order] for k, v in options.items()}
        )
        np.testing.assert_array_equal(permuted.ids, whole.ids.numpy()[order])
        for row in range(5):
            alone = _generate(
                model,
                states(1),
                **{k: v[row : row + 1] for k, v in options.items()},
            )
            length = options["length"][row]
            np.testing.assert_array_equal(alone.ids[0], whole.ids[row, :length])

    def test_a_bad_neighbour_changes_nothing(self):
        logits = np.random.default_rng(0).normal(size=(5, VOCABULARY))
        logits = logits.astype(np.float32)
        good = _generate(_constant_model(), [tf.constant(logits)], length=30)
        spoiled = logits.copy()
        spoiled[1] = np.nan
        spoiled[3] = np.inf
        result = _generate(
            _constant_model(),
            [tf.constant(spoiled)],
            length=[30, 30, 30, 30, 30],
            temperature=[1, 1, 1, np.nan, 1],
            top_k=[0, 3, 0, -5, 0],
            top_p=[1, np.nan, 1, -1, 1],
        )
        for row in (0, 2, 4):
            np.testing.assert_array_equal(result.ids[row], good.ids[row])
            self.assertEqual(result.log_prob[row], good.log_prob[row])

    @parameterized.parameters(0, 3)
    def test_noise_piece_by_piece_is_noise_at_once(self, top_k):
        """With little memory for noise the text is the same."""
        model, states = _char_rnn()
        arguments = _arguments(3, length=50, seed=[1, 2, 3], top_k=top_k)
        whole = generate(model, states(3), **arguments)
        with mock.patch.object(gumbel, "_NUMBERS", 1000):
            pieces = generate(model, states(3), **arguments)
        np.testing.assert_array_equal(pieces.ids, whole.ids)
        np.testing.assert_array_equal(pieces.log_prob, whole.log_prob)


def _filtered(logits, temperature, top_k, top_p):
    """The distribution that a draw is made from, by sorting, in NumPy."""
    p = np.exp(np.asarray(logits, np.float64) / temperature)
    p /= p.sum()
    order = np.argsort(-p)
    kept = np.ones(len(p), bool)
    if top_k:
        kept[order[top_k:]] = False
    if top_p < 1:
        before = np.cumsum(p[order]) - p[order]  # mass of the likelier ones
        kept[order[before >= top_p]] = False
    p = np.where(kept, p, 0)
    return p / p.sum()


class DistributionTest(parameterized.TestCase):
    LOGITS = (-1e9, 0.3, 2.0, -1.0, 1.1, -3.0, 0.9)

    @parameterized.parameters(
        {},
        {"temperature": 0.5},
        {"temperature": 2.5},
        {"top_k": 2},
        {"top_k": 3, "temperature": 2},
        {"top_k": 6},
        {"top_k": 7},
        {"top_k": 1000},
        {"top_p": 0.5},
        {"top_p": 0.55},
        {"top_p": 0.9},
        {"top_p": 0.999},
        {"top_p": 0.7, "temperature": 3},
        {"top_k": 4, "top_p": 0.7},
        {"top_k": 2, "top_p": 0.95},
    )
    def test_equals_the_oracle(self, temperature=1.0, top_k=0, top_p=1.0):
        # Rows are streams of their own, and so are the draws within a row.
        rows, length = 100, 200
        result = _generate(
            _constant_model(),
            [tf.constant([self.LOGITS] * rows)],
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=np.arange(rows) * 7919,
        )
        counts = np.bincount(result.ids.numpy().ravel(), minlength=VOCABULARY)
        check_chi_square(
            self, counts, _filtered(self.LOGITS, temperature, top_k, top_p)
        )

    def test_both_filters_keep_the_fewer(self):
        # top_p counts the mass of all characters, not of the k kept.
        p = _filtered(self.LOGITS, 1, 2, 0.95)
        self.assertEqual(np.count_nonzero(p), 2)

    def test_ties_with_the_last_kept_are_kept(self):
        logits = np.log([1e-9, 0.4, 0.2, 0.2, 0.1, 0.05, 0.05])
        result = _generate(
            _constant_model(),
            [tf.constant([logits] * 20, tf.float32)],
            length=100,
            top_k=2,
            seed=np.arange(20),
        )
        self.assertEqual(set(result.ids.numpy().ravel()), {1, 2, 3})

    def test_rows_have_their_own_parameters(self):
        # A filter in one row leaves its neighbour the whole vocabulary.
        result = _generate(
            _constant_model(),
            [tf.constant([self.LOGITS] * 2)],
            length=500,
            top_k=[1, 0],
            temperature=[1, 3],
        )
        self.assertEqual(set(result.ids[0].numpy()), {2})
        self.assertEqual(set(result.ids[1].numpy()), {1, 2, 3, 4, 5, 6})

    def test_the_masked_id_is_never_drawn(self):
        logits = [-1e9] + [0.0] * 3 + [-1e9] * 3
        result = _generate(
            _constant_model(),
            [tf.constant([logits] * 50)],
            length=200,
            temperature=100,
            seed=np.arange(50),
        )
        self.assertEqual(set(result.ids.numpy().ravel()), {1, 2, 3})


class StopTest(parameterized.TestCase):
    def test_ends_the_row(self):
        result = _generate(
            _counting_model(),
            _count_from(0, 0, 0, 0),
            length=9,
            **_stop([4], [2, 3], [], [3, 2]),
        )
        np.testing.assert_array_equal(
            result.ids,
            [
                [1, 2, 3, 4, 0, 0, 0, 0, 0],
                [1, 2, 3, 0, 0, 0, 0, 0, 0],
                [1, 2, 3, 4, 5, 6, 1, 2, 3],
                [1, 2, 3, 4, 5, 6, 1, 2, 3],
            ],
        )
        np.testing.assert_array_equal(result.length, [4, 3, 9, 9])
        np.testing.assert_array_equal(
            result.stopped, [True, True, False, False]
        )
        np.testing.assert_array_equal(result.states[0][:, 0], [4, 3, 3, 3])
        np.testing.assert_array_equal(result.draws, [4, 3, 9, 9])

    def test_all_rows_stop_early(self):
        result = _generate(
            _counting_model(), _count_from(0, 1), length=50, **_stop([3], [3])
        )
        np.testing.assert_array_equal(result.length, [3, 2])
        np.testing.assert_array_equal(result.ids[:, 3:], np.zeros([2, 47]))

    def test_longest(self):
        longest = [index % 6 + 1 for index in range(HISTORY + 1)]
        result = _generate(
            _counting_model(), _count_from(0), length=60, **_stop(longest)
        )
        np.testing.assert_array_equal(result.length, [HISTORY + 1])
        self.assertTrue(result.stopped[0])

    @parameterized.parameters(range(1, 5))
    def test_straddles_calls(self, first):
        stop = _stop([2, 3, 4, 5])
        head = _generate(
            _counting_model(), _count_from(0), length=first, **stop
        )
        self.assertFalse(head.stopped[0])
        tail = _generate(
            _counting_model(),
            head.states,
            length=9,
            history=head.history,
            **stop,
        )
        self.assertTrue(tail.stopped[0])
        np.testing.assert_array_equal(tail.length, [5 - first])

    def test_straddles_many_calls(self):
        longest = [index % 6 + 1 for index in range(HISTORY + 1)]
        states, history = _count_from(0), tf.zeros([1, HISTORY], tf.int32)
        for call in range(HISTORY + 1):
            result = _generate(
                _counting_model(),
                states,
                length=1,
                history=history,
                **_stop(longest),
            )
            states, history = result.states, result.history
            self.assertEqual(bool(result.stopped[0]), call == HISTORY)

    def test_without_its_history_it_does_not_straddle(self):
        stop = _stop([2, 3])
        result = _generate(_counting_model(), _count_from(2), length=4, **stop)
        self.assertFalse(result.stopped[0])

    def test_a_finished_stop_does_not_stop_the_next_call(self):
        stop = _stop([2, 3])
        head = _generate(_counting_model(), _count_from(0), length=9, **stop)
        tail = _generate(
            _counting_model(),
            head.states,
            length=4,
            history=head.history,
            **stop,
        )
        np.testing.assert_array_equal(tail.ids, [[4, 5, 6, 1]])

    def test_unknown_characters_never_match(self):
        # Neither what was generated nor the empty history is unknown.
        result = _generate(
            _counting_model(),
            _count_from(0, 0),
            length=5,
            **_stop([0, 1], [0]),
        )
        np.testing.assert_array_equal(result.length, [5, 5])

    def test_a_length_of_zero_does_not_stop(self):
        head = _generate(_counting_model(), _count_from(0), length=3)
        result = _generate(
            _counting_model(),
            head.states,
            length=0,
            history=head.history,
            **_stop([2, 3]),
        )
        self.assertFalse(result.stopped[0])


class ReadPromptTest(absltest.TestCase):
    def test_each_row_reads_its_own_length(self):
        ids = tf.constant([[1, 2, 3], [4, 5, 6], [6, 5, 4]])
        states = read_prompt(
            _counting_model(),
            _count_from(0, 0, 9),
            ids,
            tf.constant([3, 1, 0]),
        )
        np.testing.assert_array_equal(states[0], [[3], [4], [9]])

    def test_no_rows_and_no_columns(self):
        for shape in ((0, 3), (0, 0), (2, 0)):
            states = [tf.ones([shape[0], 1])]
            read = read_prompt(
                _counting_model(),
                states,
                tf.zeros(shape, tf.int32),
                tf.zeros(shape[:1], tf.int32),
            )
            np.testing.assert_array_equal(read[0], states[0])

    def test_reading_then_generating_is_the_sequence(self):
        model, states = _char_rnn("lstm")
        ids = tf.constant([[3, 4, 5, 6, 7], [8, 9, 1, 1, 1]])
        read = read_prompt(model, states(2), ids, tf.constant([5, 2]))
        by_hand = states(2)
        for time in range(5):
            by_hand = model.read(ids[:, time], by_hand)
        for a, b in zip(read, by_hand, strict=True):
            np.testing.assert_allclose(a[0], b[0], atol=1e-6)


if __name__ == "__main__":
    absltest.main()
