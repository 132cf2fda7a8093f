"""What is in the inspection page, and what it says of a reading."""

import base64
import json
import re

import numpy as np
from absl.testing import absltest
from helpers.models.planted_reading import HOSTILE
from helpers.models.planted_reading import PLANTED
from helpers.models.planted_reading import make_findings
from helpers.models.planted_reading import make_reading

from kerasrnn.reporting import colors
from kerasrnn.reporting.inspection_page import inspection_page
from kerasrnn.reporting.probes import PROBES
from kerasrnn.reporting.reading import surprise
from kerasrnn.reporting.reading import visible


def embedded(document, name):
    """Returns the data that the page holds under a name."""
    pattern = rf'<script type="application/json" id="{name}">(.*?)</script>'
    return json.loads(re.search(pattern, document, re.DOTALL)[1])


def array(document, name, dtype):
    return np.frombuffer(base64.b64decode(embedded(document, name)), dtype)


class InspectionPageTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reading = make_reading(HOSTILE * 3)
        cls.findings = make_findings(cls.reading)
        cls.document = inspection_page(
            cls.reading,
            cls.findings,
            unit=cls.findings.first_unit(),
            model="a <b>",
            name="<i>.py",
        )

    def test_activations_are_within_half_a_step(self):
        stored = array(self.document, "activations", "<i1").reshape(
            self.reading.num_units, -1
        )
        scales = np.array(embedded(self.document, "page")["scales"])
        np.testing.assert_allclose(
            (stored * scales[:, None] / 127).T,
            self.reading.activations,
            atol=0.5 / 127 * 1.001,
        )

    def test_guesses_and_chances(self):
        table = embedded(self.document, "page")["candidates"]
        guesses = array(self.document, "guesses", "<u2").reshape(-1, 5)
        chances = array(self.document, "chances", "<u2").reshape(-1, 5)
        self.assertEqual(
            [tuple(table[i] for i in row) for row in guesses],
            list(self.reading.top_characters),
        )
        np.testing.assert_allclose(
            chances / 65535, np.exp(self.reading.top_log_probs), atol=1e-5
        )

    def test_findings(self):
        probes = embedded(self.document, "probes")
        self.assertEqual(
            [probe["name"] for probe in probes], [p.name for p in PROBES]
        )
        self.assertEqual(probes[0]["best"][0], PLANTED)
        self.assertEqual(embedded(self.document, "page")["unit"], PLANTED)
        scores = array(self.document, "scores", "<i2").reshape(len(PROBES), -1)
        np.testing.assert_allclose(
            scores / 32767, self.findings.scores, atol=1e-4
        )
        self.assertIn("about 5\u00a0%", self.document)
        share = f"{self.findings.share:.0%}".replace("%", "\u00a0%")
        self.assertIn(f"{share} of the 32 units follow", self.document)

    def test_5000_characters_and_1024_units_stay_below_8_mb(self):
        random = np.random.default_rng(0)
        reading = make_reading(
            "".join(random.choice(list(HOSTILE), size=5000)), 2, 512
        )
        document = inspection_page(
            reading, make_findings(reading), unit=0, model="m", name="t"
        )
        self.assertLess(len(document.encode()), 8_000_000)

    def test_nothing_is_fetched(self):
        self.assertNotRegex(
            self.document.replace("http://www.w3.org/2000/svg", ""),
            r"https?:|src=[^x]|@import|url\(",
        )

    def test_one_layer_is_not_named(self):
        reading = make_reading("ab " * 20, 1, 32)
        document = inspection_page(
            reading, make_findings(reading), unit=0, model="m", name="t"
        )
        self.assertIn("32 units · 60 characters", document)
        self.assertEqual(reading.name(31), "unit 32")
        self.assertEqual(self.reading.name(PLANTED), "layer 2, unit 5")


class ReadingTest(absltest.TestCase):
    def test_surprise(self):
        log_probs = np.log(np.array([0.5, 1, 0.25], np.float32))
        self.assertEqual(surprise(log_probs, 0).tolist(), [1, 0, 2])
        found = surprise(log_probs, 1)
        np.testing.assert_array_equal(found, [1, np.nan, 2])
        self.assertFalse(np.signbit(surprise(log_probs, 0)[1]))

    def test_visible(self):
        for character, symbol in (
            ("a", "a"),
            ("\n", "↵"),
            ("\x1b", "\u241b"),
            ("\x7f", "\u2421"),
            ("\u202e", "\ufffd"),
            ("\\xff", "\\xff"),
        ):
            self.assertEqual(visible(character), symbol)

    def test_colors(self):
        found = colors.diverging([-2, -1, 0, 0.5, 1])
        self.assertEqual(found.dtype, np.uint8)
        self.assertEqual(tuple(found[0]), colors.NEGATIVE)
        self.assertEqual(tuple(found[1]), colors.NEGATIVE)
        self.assertEqual(tuple(found[2]), (255, 255, 255))
        self.assertEqual(tuple(found[4]), colors.POSITIVE)


if __name__ == "__main__":
    absltest.main()
