"""Whether counts are those that a distribution gives."""

import numpy as np


def check_chi_square(test, counts, probabilities):
    """The statistic is at most 5 standard deviations above its mean."""
    expected = probabilities * np.sum(counts)
    test.assertEqual(np.sum(counts[expected == 0]), 0)
    counts, expected = counts[expected > 0], expected[expected > 0]
    statistic = np.sum((counts - expected) ** 2 / expected)
    freedom = len(counts) - 1
    test.assertLess(statistic, freedom + 5 * np.sqrt(2 * freedom) + 1e-9)
