"""What a draw is a function of: the seed, and how many draws came before."""

from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sampling.known_models import VOCABULARY
from helpers.sampling.known_models import all_arguments
from helpers.sampling.known_models import char_rnn
from helpers.sampling.known_models import constant_model
from helpers.sampling.known_models import generate_ids

from kerasrnn.sampling import gumbel
from kerasrnn.sampling.generate import generate

INT64 = np.iinfo(np.int64)


class RandomnessTest(parameterized.TestCase):
    def test_same_seed_same_text(self):
        model, states = char_rnn()
        seeds = [5, 6, 5, INT64.min, INT64.max, -1, 2**32 + 5]
        result = generate_ids(model, states(7), length=40, seed=seeds)
        texts = [tuple(row) for row in result.ids.numpy()]
        self.assertEqual(texts[0], texts[2])
        self.assertLen(set(texts), 6)
        again = generate_ids(model, states(7), length=40, seed=seeds)
        np.testing.assert_array_equal(again.ids, result.ids)

    @parameterized.parameters(1, 3, 4, 7, 19)
    def test_calls_in_a_row_equal_one(self, first):
        model, states = char_rnn("lstm")
        options = {
            "temperature": [1, 0.7, 0, 2],
            "top_k": [0, 5, 0, 0],
            "top_p": [1, 1, 1, 0.8],
            "seed": [1, 2, 3, INT64.min],
        }
        whole = generate_ids(model, states(4), length=20, **options)
        head = generate_ids(model, states(4), length=first, **options)
        tail = generate_ids(
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
        model, states = char_rnn(cell)
        options = {"temperature": [1, 0.7, 0], "seed": [1, 2, 3]}
        alike = generate_ids(model, states(3), length=21, **options)
        uneven = generate_ids(model, states(3), length=[21, 21, 3], **options)
        for name in ("ids", "length", "log_prob", "draws", "history"):
            np.testing.assert_array_equal(
                getattr(alike, name)[:2], getattr(uneven, name)[:2], name
            )
        for one, other in zip(alike.states, uneven.states, strict=True):
            np.testing.assert_array_equal(one[:2], other[:2])
        np.testing.assert_array_equal(alike.ids[2, :3], uneven.ids[2, :3])

    @parameterized.parameters(1, 7, 8, 9, 16)
    def test_blocks_in_a_row_equal_one(self, first):
        model, states = char_rnn("lstm")
        whole = generate_ids(model, states(2), length=25)
        head = generate_ids(model, states(2), length=first)
        carried = {"draws": head.draws, "history": head.history}
        tail = generate_ids(model, head.states, length=25 - first, **carried)
        ids = tf.concat([head.ids, tail.ids], axis=1)
        np.testing.assert_array_equal(ids, whole.ids)
        for one, other in zip(tail.states, whole.states, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(tail.history, whole.history)

    def test_the_place_in_the_batch_does_not_matter(self):
        model, states = char_rnn()
        options = {
            "length": np.array([30, 12, 25, 0, 30]),
            "temperature": np.array([1, 0.5, 0, 1, 1.5]),
            "top_k": np.array([0, 3, 0, 0, 0]),
            "top_p": np.array([1, 1, 1, 1, 0.7]),
            "seed": np.array([1, 2, 3, 4, INT64.max]),
        }
        whole = generate_ids(model, states(5), **options)
        order = np.array([4, 2, 0, 3, 1])
        permuted = generate_ids(
            model, states(5), **{k: v[order] for k, v in options.items()}
        )
        np.testing.assert_array_equal(permuted.ids, whole.ids.numpy()[order])
        for row in range(5):
            alone = generate_ids(
                model,
                states(1),
                **{k: v[row : row + 1] for k, v in options.items()},
            )
            length = options["length"][row]
            np.testing.assert_array_equal(alone.ids[0], whole.ids[row, :length])

    def test_a_bad_neighbour_changes_nothing(self):
        logits = np.random.default_rng(0).normal(size=(5, VOCABULARY))
        logits = logits.astype(np.float32)
        good = generate_ids(constant_model(), [tf.constant(logits)], length=30)
        spoiled = logits.copy()
        spoiled[1] = np.nan
        spoiled[3] = np.inf
        result = generate_ids(
            constant_model(),
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
        model, states = char_rnn()
        arguments = all_arguments(3, length=50, seed=[1, 2, 3], top_k=top_k)
        whole = generate(model, states(3), **arguments)
        with mock.patch.object(gumbel, "_NUMBERS", 1000):
            pieces = generate(model, states(3), **arguments)
        np.testing.assert_array_equal(pieces.ids, whole.ids)
        np.testing.assert_array_equal(pieces.log_prob, whole.log_prob)


if __name__ == "__main__":
    absltest.main()
