"""Tests of `kerasrnn.text.frequencies` against counting in dictionaries."""

import collections
import math

import hypothesis
import numpy as np
from absl.testing import absltest
from hypothesis import strategies

from kerasrnn.text.frequencies import baselines


def by_hand(train, held_out, size):
    """Returns both losses, one character at a time."""
    counts = {c: 1 for c in range(1, size)}
    followers = collections.defaultdict(collections.Counter)
    for piece in train:
        for first, second in zip(piece, piece[1:], strict=False):
            if second:
                counts[second] += 1
                followers[first][second] += 1
    total = sum(counts.values())
    single, double = [], []
    for piece in held_out:
        for first, second in zip(piece, piece[1:], strict=False):
            if not second:
                continue
            share = counts[second] / total
            after = followers[first]
            kinds, number = len(after), sum(after.values())
            pair = share
            if kinds:
                pair = (after[second] + kinds * share) / (number + kinds)
            single.append(-math.log(share))
            double.append(-math.log(pair))
    return np.mean(single), np.mean(double)


class BaselinesTest(absltest.TestCase):
    @hypothesis.settings(deadline=None, max_examples=100)
    @hypothesis.given(
        strategies.lists(strategies.integers(0, 6), min_size=20, max_size=60),
        strategies.integers(2, 8),
    )
    def test_equals_counting_by_hand(self, ids, cut):
        ids = np.array([*ids, 1, 2], np.uint8)
        train = [(0, cut), (cut + 1, 14)]
        held_out = [(14, 17), (16, len(ids))]
        expected = by_hand(
            [ids[a:b].tolist() for a, b in train],
            [ids[a:b].tolist() for a, b in held_out],
            7,
        )
        result = baselines(ids, train, held_out, 7)
        np.testing.assert_allclose(result, expected, rtol=1e-12)

    def test_a_text_that_repeats_is_known_from_its_pairs(self):
        ids = np.tile([1, 2, 3, 4], 5000)
        result = baselines(ids, [(0, 10_000)], [(10_000, 20_000)], 5)
        self.assertAlmostEqual(result.by_character, math.log(4), delta=1e-3)
        self.assertLess(result.by_pair, 1e-2)

    def test_one_kind_of_character_costs_nothing(self):
        for size, length in ((2, 100), (2, 12_345)):
            ids = np.ones(length, np.uint8)
            result = baselines(ids, [(0, 50)], [(50, length)], size)
            self.assertEqual([f"{loss:.4f}" for loss in result], ["0.0000"] * 2)

    def test_nothing_to_score(self):
        result = baselines(np.zeros(50, int), [(0, 20)], [(20, 50)], 3)
        self.assertTrue(np.isnan(result).all())


if __name__ == "__main__":
    absltest.main()
