"""Tests of the findings: units made to follow a probe are found."""

import numpy as np
from absl.testing import absltest

from kerasrnn.reporting import findings
from kerasrnn.reporting.probes import PROBES
from kerasrnn.reporting.probes import probe_values

TEXT = (
    'def f(a, b):  # first\n    """Returns (a)."""\n    return a["x y"] + (b)\n'
) * 12
INDICES = {probe.name: index for index, probe in enumerate(PROBES)}
UNITS = 200


def find(planted=(), noise=1.0, text=TEXT):
    """Returns the findings of random units, some of which follow a probe.

    Args:
        planted: (unit, probe, sign) of those.
        noise: Standard deviation of what is added to them.
        text: What is read.
    """
    random = np.random.default_rng(0)
    shuffled = "".join(findings.shuffled(text))
    activations = random.normal(size=(2, len(text), UNITS))
    for unit, name, sign in planted:
        for read, activation in zip((text, shuffled), activations, strict=True):
            values = probe_values(read, "hash")[INDICES[name]]
            if read == text:
                values = (values - values.mean()) / values.std()
                activation[:, unit] *= noise
                activation[:, unit] += sign * values
    return findings.find(text, activations[0], shuffled, activations[1], "hash")


class FindingsTest(absltest.TestCase):
    def test_planted_units_are_the_best(self):
        planted = [
            (17, "quotes", 1),
            (23, "quotes", -0.5),
            (150, "position", 1),
            (151, "comment", -1),
        ]
        found = find(planted, noise=0.5)
        self.assertEqual(found.best_units(INDICES["quotes"], 2), [17, 23])
        self.assertEqual(found.best_units(INDICES["position"], 1), [150])
        self.assertEqual(found.best_units(INDICES["comment"], 1), [151])
        self.assertEqual(found.best_probe(17), INDICES["quotes"])
        self.assertEqual(found.best_probe(151), INDICES["comment"])
        # Signal 1, noise 0.5: 1 / sqrt(1.25).
        score = found.scores[INDICES["quotes"], 17]
        self.assertAlmostEqual(float(score), 0.894, delta=0.02)
        self.assertLess(found.scores[INDICES["comment"], 151], -0.85)
        self.assertAlmostEqual(found.close_share, 4 / UNITS, delta=1e-6)

    def test_first_unit_is_the_best_of_all_probes(self):
        # By either sign, whatever probe comes first.
        for unit, name, sign in [(150, "comment", -3), (23, "quotes", 3)]:
            found = find([(17, "quotes", 1), (unit, name, sign)], noise=0.5)
            self.assertEqual(found.first_unit(), unit)
            best = np.abs(found.scores[found.follows]).max()
            self.assertEqual(np.abs(found.scores[:, unit]).max(), best)

    def test_random_units_follow_no_more_than_the_control(self):
        found = find()
        probes = int(found.present.sum())
        self.assertLessEqual(found.control_share, probes * 0.011)
        # By chance 1 % a probe; six standard deviations of it above.
        self.assertLess(found.share, 0.01 * probes + 6 * 0.022)
        self.assertEqual(found.close_share, 0)
        for index in range(len(PROBES)):
            above = (
                np.abs(found.control[index]) > found.thresholds[index]
            ).sum()
            if found.present[index]:
                self.assertEqual(above, UNITS // 100)

    def test_every_unit_that_follows_counts_once(self):
        found = find(
            [(unit, "quotes", 1) for unit in range(0, UNITS, 2)], noise=0.3
        )
        self.assertGreaterEqual(found.share, 0.5)
        self.assertAlmostEqual(found.close_share, 0.5)

    def test_what_is_not_in_the_text_has_no_score(self):
        found = find([(3, "quotes", 1)])
        index = INDICES["number"]
        self.assertFalse(found.present[index])
        self.assertFalse(found.scores[index].any())
        self.assertEqual(found.best_units(index, 3), [])
        self.assertTrue(found.present[INDICES["quotes"]])

    def test_correlations_are_those_of_numpy(self):
        random = np.random.default_rng(1)
        values = random.normal(size=(3, 40))
        activations = random.normal(size=(40, 5)) * 1e-2 + 0.9
        found = findings.correlations(values, activations)
        expected = np.corrcoef(values, activations.T)[:3, 3:]
        np.testing.assert_allclose(found, expected, atol=1e-4)

    def test_constant_units_and_probes_correlate_with_nothing(self):
        values = np.array([[0, 1, 0, 1], [2, 2, 2, 2]])
        activations = np.array([[0.7, 1], [0.7, 2], [0.7, 1], [0.7, 2]])
        np.testing.assert_allclose(
            findings.correlations(values, activations), [[0, 1], [0, 0]]
        )

    def test_short_texts(self):
        for text in ("", "a", "ab\n"):
            found = find(text=text)
            self.assertFalse(found.present.any())
            self.assertEqual((found.share, found.first_unit()), (0, 0))
            self.assertIsNone(found.best_probe(0))

    def test_shuffled_text_has_the_same_characters(self):
        shuffled = findings.shuffled(TEXT)
        self.assertEqual(sorted(shuffled), sorted(TEXT))
        self.assertNotEqual("".join(shuffled), TEXT)
        self.assertEqual(shuffled, findings.shuffled(TEXT))


if __name__ == "__main__":
    absltest.main()
