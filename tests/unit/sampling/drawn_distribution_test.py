"""Draws have the distribution that temperature, top-k and top-p ask for."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sampling.chi_square import check_chi_square
from helpers.sampling.known_models import VOCABULARY
from helpers.sampling.known_models import constant_model
from helpers.sampling.known_models import generate_ids


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
        result = generate_ids(
            constant_model(),
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
        result = generate_ids(
            constant_model(),
            [tf.constant([logits] * 20, tf.float32)],
            length=100,
            top_k=2,
            seed=np.arange(20),
        )
        self.assertEqual(set(result.ids.numpy().ravel()), {1, 2, 3})

    def test_rows_have_their_own_parameters(self):
        # A filter in one row leaves its neighbour the whole vocabulary.
        result = generate_ids(
            constant_model(),
            [tf.constant([self.LOGITS] * 2)],
            length=500,
            top_k=[1, 0],
            temperature=[1, 3],
        )
        self.assertEqual(set(result.ids[0].numpy()), {2})
        self.assertEqual(set(result.ids[1].numpy()), {1, 2, 3, 4, 5, 6})

    def test_the_masked_id_is_never_drawn(self):
        logits = [-1e9] + [0.0] * 3 + [-1e9] * 3
        result = generate_ids(
            constant_model(),
            [tf.constant([logits] * 50)],
            length=200,
            temperature=100,
            seed=np.arange(50),
        )
        self.assertEqual(set(result.ids.numpy().ravel()), {1, 2, 3})


if __name__ == "__main__":
    absltest.main()
