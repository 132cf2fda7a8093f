"""The inspection page: what is in it, and what a real browser makes of it."""

import base64
import json
import pathlib
import re

import numpy as np
from absl.testing import absltest
from helpers.processes.browser import Browser

from kerasrnn.reporting import colors
from kerasrnn.reporting import findings
from kerasrnn.reporting.inspection_page import inspection_page
from kerasrnn.reporting.probes import PROBES
from kerasrnn.reporting.probes import probe_values
from kerasrnn.reporting.reading import Reading
from kerasrnn.reporting.reading import surprise
from kerasrnn.reporting.reading import visible

HOSTILE = (
    'x = "</script><script>alert(1)</script>"\n'
    "<img src=x onerror=alert(2)> <!-- <script>\t&lt;é🙂\x1b[31m\n"
)
LAYERS, UNITS = 2, 16
# Follows quotes; of layer 2.
PLANTED = UNITS + 4


def make_reading(text, layers=LAYERS, units=UNITS, seed=0):
    """Returns a reading of random numbers; one unit follows quotes."""
    random = np.random.default_rng(seed)
    length = len(text)
    activations = random.normal(scale=0.2, size=(length, layers * units))
    activations = np.clip(activations, -1, 1).astype(np.float32)
    quotes = probe_values(text, "hash")[0]
    activations[:, PLANTED] = 0.1 * activations[:, PLANTED] + quotes - 0.4
    log_probs = np.sort(random.uniform(-9, 0, size=(length, 5)))[:, ::-1]
    alphabet = list("\n \tab<&é🙂")
    return Reading(
        characters=tuple(text),
        activations=activations,
        top_characters=tuple(
            tuple(random.permutation(alphabet)[:5]) for _ in range(length)
        ),
        top_log_probs=log_probs.astype(np.float32),
        bits=surprise(-random.exponential(size=length), 0),
        num_layers=layers,
    )


def make_findings(reading):
    shuffled = make_reading("".join(findings.shuffled(reading.text)), seed=1)
    random = np.random.default_rng(2).normal(
        size=(len(shuffled.characters), reading.num_units)
    )
    return findings.find(
        reading.text, reading.activations, shuffled.text, random, "hash"
    )


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


class BrowserTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reading = make_reading(HOSTILE * 3)
        cls.findings = make_findings(cls.reading)
        cls.browser = cls.enterClassContext(Browser(width=1400, height=900))

    def setUp(self):
        super().setUp()
        path = pathlib.Path(self.create_tempdir().full_path, "page.html")
        document = inspection_page(
            self.reading,
            self.findings,
            unit=self.findings.first_unit(),
            model="a <b>",
            name="<i>.py",
        )
        path.write_text(document, encoding="utf-8", newline="")
        self.browser.open(path)

    def colors(self):
        return self.browser.evaluate(
            "[...document.querySelectorAll('.character b')].map("
            "e => getComputedStyle(e).backgroundColor)"
        )

    def expected_colors(self, unit):
        found = colors.diverging(self.reading.relative_activations(unit))
        return [f"rgb({r}, {g}, {b})" for r, g, b in found.tolist()]

    def assert_colors(self, unit):
        def numbers(shown):
            return np.array([re.findall(r"\d+", color) for color in shown], int)

        # The page stores 127 steps.
        found, expected = self.colors(), self.expected_colors(unit)
        self.assertLen(found, len(expected))
        self.assertLess(np.abs(numbers(found) - numbers(expected)).max(), 3)

    def finding(self):
        return self.browser.text(".finding")

    def test_text_is_shown_and_not_run(self):
        shown = self.browser.evaluate(
            "[...document.querySelectorAll('.character b')].map("
            "e => e.textContent)"
        )
        self.assertEqual(
            shown, ["⇥" if c == "\t" else visible(c) for c in self.reading.text]
        )
        self.assertIn("Inside a <b>", self.browser.text("h1"))
        self.assertIn("characters of <i>.py", self.browser.text(".head"))
        self.assertEqual(self.browser.dialogs, [])
        self.assertEqual(self.browser.errors, [])
        fetched = [r for r in self.browser.requests if r[:5] != "data:"]
        self.assertTrue(all(r.startswith("file:") for r in fetched), fetched)
        self.assertEqual(
            self.browser.evaluate("document.querySelectorAll('img').length"), 0
        )

    def test_the_first_unit_is_named_and_follows_quotes(self):
        self.assertStartsWith(
            self.finding(), "Layer 2, unit 5 follows inside quotes: correlation"
        )
        self.assert_colors(PLANTED)
        underlined = self.browser.evaluate(
            "[...document.querySelectorAll('.character')].map("
            "e => e.classList.contains('mark'))"
        )
        quotes = probe_values(self.reading.text, "hash")[0] > 0
        self.assertEqual(underlined, quotes.tolist())

    def test_keys_go_from_unit_to_unit_and_from_layer_to_layer(self):
        for key, unit in (
            ("ArrowRight", PLANTED + 1),
            ("ArrowLeft", PLANTED),
            ("ArrowLeft", PLANTED - 1),
            ("l", PLANTED - 1 - UNITS),
            ("L", PLANTED - 1),
            ("n", None),
        ):
            self.browser.press(key)
            if unit is None:
                unit = self.browser.evaluate("shown.unit")
                self.assertIn(unit, self.findings.best_units(0, 3))
            layer, within = divmod(unit, UNITS)
            name = f"Layer {layer + 1}, unit {within + 1}"
            self.assertStartsWith(self.finding(), f"{name} follows")
            self.assert_colors(unit)
            self.assertEqual(
                self.browser.evaluate("location.hash"),
                f"#unit={layer + 1}:{within + 1}",
            )

    def test_lists_choose_layer_and_unit(self):
        def choose(name, value):
            self.browser.evaluate(
                f"(() => {{ const list = document.getElementById('{name}');"
                f"list.value = {value};"
                "list.dispatchEvent(new Event('change')); })()"
            )

        choose("layer", 0)
        self.assertStartsWith(self.finding(), "Layer 1, unit 5 follows")
        self.assertEqual(
            self.browser.evaluate(
                "document.getElementById('unit').options.length"
            ),
            UNITS,
        )
        choose("unit", 9)
        self.assertStartsWith(self.finding(), "Layer 1, unit 10 follows")
        self.assert_colors(9)

    def test_probes_name_their_best_units(self):
        self.browser.evaluate("choose(0)")
        self.browser.click(".probe .units button")
        self.assertStartsWith(self.finding(), "Layer 2, unit 5 follows")
        names = self.browser.evaluate(
            "[...document.querySelectorAll('.probe .name')].map("
            "e => e.textContent)"
        )
        self.assertEqual(names, [probe.title for probe in PROBES])
        self.assertIn("about 5\u00a0%", self.browser.text("aside"))

    def test_guesses_stand_under_each_character(self):
        cells = self.browser.evaluate(
            "[...document.querySelectorAll('.character')].map(e => "
            "[...e.querySelectorAll('i')].map(i => [i.textContent, "
            "getComputedStyle(i).backgroundColor, "
            "i.getBoundingClientRect().top > "
            "e.firstChild.getBoundingClientRect().top]))"
        )
        bits = self.browser.evaluate(
            "[...document.querySelectorAll('.character u')].map("
            "e => e.textContent)"
        )
        space = {" ": "␣", "\n": "↵", "\t": "⇥"}
        for index, cell in enumerate(cells):
            chances = np.exp(self.reading.top_log_probs[index])
            for (text, color, below), character, chance in zip(
                cell, self.reading.top_characters[index], chances, strict=True
            ):
                self.assertEqual(text, space.get(character, character))
                opacity = ([*re.findall(r"[\d.]+", color), 1])[3]
                self.assertAlmostEqual(float(opacity), chance, delta=0.005)
                self.assertTrue(below)
            if float(bits[index]) < 9.9:
                self.assertAlmostEqual(
                    float(bits[index]), self.reading.bits[index], delta=0.051
                )
        self.browser.press("g")
        self.assertEqual(
            self.browser.evaluate(
                "getComputedStyle(document.querySelector("
                "'.character i')).display"
            ),
            "none",
        )

    def test_pointer_reads_out_a_character(self):
        self.browser.hover('.character[data-index="4"]')
        shown = self.browser.text(".pointer")
        self.assertIn("character 5", shown)
        self.assertIn(f"{self.reading.bits[4]:.2f} bits", shown)
        chance = float(np.exp(self.reading.top_log_probs[4, 0]))
        self.assertIn(f"{100 * chance:.1f} %", shown)


if __name__ == "__main__":
    absltest.main()
