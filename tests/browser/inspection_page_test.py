"""What a real browser makes of the inspection page."""

import pathlib
import re

import numpy as np
from absl.testing import absltest
from helpers.models.planted_reading import HOSTILE
from helpers.models.planted_reading import PLANTED
from helpers.models.planted_reading import UNITS
from helpers.models.planted_reading import make_findings
from helpers.models.planted_reading import make_reading
from helpers.processes.browser import Browser

from kerasrnn.reporting import colors
from kerasrnn.reporting.inspection_page import inspection_page
from kerasrnn.reporting.probes import PROBES
from kerasrnn.reporting.probes import probe_values
from kerasrnn.reporting.reading import visible


class BrowserTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reading = make_reading(HOSTILE * 3)
        cls.findings = make_findings(cls.reading)
        cls.browser = cls.enterClassContext(Browser(width=1400, height=900))

    def setUp(self):
        super().setUp()
        self.show(self.document())

    def document(self):
        return inspection_page(
            self.reading,
            self.findings,
            unit=self.findings.first_unit(),
            model="a <b>",
            name="<i>.py",
        )

    def show(self, document):
        path = pathlib.Path(self.create_tempdir().full_path, "page.html")
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

    def test_a_named_unit_is_shown_with_the_first_probe_that_names_it(self):
        names = iter(["[4,1]", "[1,2,4]", "[]", "[2]"])
        document = re.sub(
            r'"best": ?\[[^]]*\]',
            lambda found: f'"best":{next(names, "[]")}',
            self.document(),
        )
        self.show(document)
        found = []
        for _ in range(3):
            self.browser.press("n")
            found.append(self.browser.evaluate("[shown.unit, shown.probe]"))
        self.assertCountEqual(found, [[4, 0], [1, 0], [2, 1]])

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
