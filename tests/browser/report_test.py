"""Tests of the report on a training: its numbers, and the page itself."""

import dataclasses
import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
from absl.testing import absltest
from helpers.processes.browser import Browser
from helpers.sources.repository import ROOT

from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.reporting import axes
from kerasrnn.reporting import charts
from kerasrnn.reporting.curves import spread
from kerasrnn.reporting.curves import thinned
from kerasrnn.training.records.report import write_report

HOSTILE = '<script>alert(1)</script>\n</pre><b>bold</b> &amp; "quoted"\'\n'


def make_records(steps):
    """Returns history lines as a training writes them, and every loss."""
    random = np.random.default_rng(0)
    losses = 1 + 3 * np.exp(-np.arange(steps) / 90)
    losses += random.normal(scale=0.05, size=steps)
    records = []
    for step in range(10, steps + 1, 10):
        inner = losses[step - 10 : step].tolist()
        record = {
            "step": step,
            "epoch": step / 100,
            "loss": float(np.mean(inner)),
            "learning_rate": 0.004 * (1 - step / steps),
            "gradient_norm": float(random.uniform(0.3, 0.5)),
            "characters_per_second": float(random.uniform(900, 1100)),
            "losses": inner,
        }
        if step % 100 == 0:
            record["validation_loss"] = 1.2 + abs(step - 300) / 1000
            record["split"] = "tail"
        records.append(record)
    return records, losses


class ReportTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.workdir = pathlib.Path(self.create_tempdir().full_path, "a<b>")
        (self.workdir / "samples").mkdir(parents=True)
        config = Config(model=ModelConfig(vocabulary_size=5))
        config = dataclasses.replace(
            config, data=dataclasses.replace(config.data, data=(HOSTILE,))
        )
        (self.workdir / "config.json").write_text(config.to_json())

    def write(self, records, samples=()):
        lines = [json.dumps(record) + "\n" for record in records]
        (self.workdir / "history.jsonl").write_text("".join(lines))
        for step, text in samples:
            (self.workdir / "samples" / f"{step}.txt").write_text(text)

    def test_page_in_a_browser(self):
        records, _ = make_records(600)
        samples = [(step, f"{step}: {HOSTILE}") for step in range(20, 601, 20)]
        samples.append((999, "of a run that was undone"))
        self.write(records, samples)
        path = write_report(self.workdir)
        self.assertIn("has risen since step 300", path.read_text())
        with Browser() as browser:
            browser.open(path)
            self.assertEqual(browser.dialogs, [])
            self.assertEqual(browser.errors, [])
            fetched = [r for r in browser.requests if r[:5] != "data:"]
            self.assertEqual(fetched, [path.as_uri()])
            self.assertEqual(browser.text("h1"), "a<b>")
            self.assert_samples(browser, samples[:-1])
            self.assert_best(browser)
            self.assert_interactive(browser)

    def assert_samples(self, browser, samples):
        # All are there, each as it was written, some behind a click.
        shown = browser.evaluate(
            "[...document.querySelectorAll('.sample')].map(e =>"
            "[+e.id.slice(7), e.querySelector('pre').textContent])"
        )
        self.assertEqual(sorted(map(tuple, shown)), samples)
        visible = browser.evaluate(
            "[...document.querySelectorAll('.sample pre')]"
            ".filter(e => e.checkVisibility()).length"
        )
        self.assertBetween(visible, 5, 9)
        self.assertIn("<script>alert(1)</script>", browser.text(".sample pre"))
        browser.click("summary")
        self.assertIn("more sample", browser.text("summary"))

    def assert_best(self, browser):
        self.assertIn("1.2000 nats", browser.text(".figure"))
        self.assertIn("best: 1.2000 at step 300", browser.text(".chart-box"))
        best = browser.evaluate("document.querySelector('.sample.best').id")
        self.assertEqual(best, "sample-300")
        # The mark stands where the axis says 300.
        places = browser.evaluate(
            "['.mark-dot', 'text'].map(s => [...document.querySelectorAll("
            "`.linear-chart ${s}`)].map(e => [e.textContent, "
            "+(e.getAttribute('cx') || e.getAttribute('x'))]))"
        )
        at = dict(places[1])
        ((_, mark),) = places[0]
        share = (mark - at["0"]) / (at["600"] - at["0"])
        self.assertAlmostEqual(share, 0.5, places=3)

    def assert_interactive(self, browser):
        def visible(name):
            return browser.evaluate(
                f"document.querySelector('.{name} svg').checkVisibility()"
            )

        browser.hover(".linear-chart svg")
        readout = browser.text(".readout")
        self.assertRegex(readout, r"^step \d+: training \d\.\d+, validation")
        browser.evaluate("document.querySelector('.linear-chart svg').focus()")
        browser.press("End")
        self.assertIn("step 600:", browser.text(".readout"))
        browser.press("ArrowLeft")
        self.assertNotIn("step 600:", browser.text(".readout"))
        self.assertTrue(visible("linear-chart"))
        browser.click(".bar label")
        self.assertTrue(visible("log-chart"))
        self.assertFalse(visible("linear-chart"))

    def test_a_training_of_few_steps_without_validation_or_samples(self):
        self.write([{"step": 3, "losses": [2.0, math.nan, 2.0]}])
        with Browser(dark=True) as browser:
            browser.open(write_report(self.workdir))
            self.assertEqual(browser.errors, [])
            self.assertIn("2.0000 nats", browser.text())

    def test_the_program_draws_without_tensorflow(self):
        self.write(make_records(50)[0])
        command = [sys.executable, "-X", "importtime", "-m", "kerasrnn.train"]
        process = subprocess.run(
            [*command, "--report", f"--workdir={self.workdir}"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        self.assertIn(f"Wrote {self.workdir / 'report.html'}", process.stdout)
        self.assertNotIn("tensorflow.python", process.stderr)

    def test_another_file(self):
        self.write(make_records(50)[0])
        path = self.workdir.parent / "page.html"
        self.assertEqual(write_report(self.workdir, path), path)
        self.assertTrue(path.is_file())
        self.assertFalse((self.workdir / "report.html").exists())
        for output, reason in (
            (".", "Is a directory"),
            ("/", "Is a directory"),
            ("", "Is a directory"),
            (path.parent / "nowhere" / "page.html", "No such file"),
            (path / "page.html", "Not a directory"),
        ):
            with self.assertRaisesRegex(UserError, f"{reason}.* --output"):
                write_report(self.workdir, output)

    def test_a_long_sample_is_cut(self):
        long = "é" * 2**20
        self.write(make_records(50)[0], [(20, long), (40, "short")])
        page = write_report(self.workdir).read_text()
        self.assertIn(long[: 2**19], page)
        self.assertNotIn(long[: 2**19 + 1], page)
        self.assertIn("short", page)

    def test_nothing_to_draw(self):
        with self.assertRaisesRegex(UserError, "no record of a step yet"):
            write_report(self.workdir)
        with self.assertRaisesRegex(UserError, "There is no directory"):
            write_report(self.workdir / "missing")


class CurvesTest(absltest.TestCase):
    def test_thinned_curve_keeps_sums_and_extremes(self):
        random = np.random.default_rng(1)
        for steps, count, log_x in (
            (7, 400, False),
            (1000, 30, False),
            (1000, 30, True),
            (12345, 400, True),
            (1, 5, True),
        ):
            values = random.normal(size=steps)
            numbers = np.arange(1, steps + 1)
            curve = thinned(numbers, values, count, log_x)
            self.assertLessEqual(len(curve), count)
            self.assertEqual(curve.steps[-1], steps)
            sizes = np.diff(curve.steps, prepend=0)
            self.assertAlmostEqual(
                float(np.dot(sizes, curve.values)), values.sum(), places=6
            )
            self.assertEqual(min(curve.low), values.min())
            self.assertEqual(max(curve.high), values.max())
        curve = thinned(np.arange(1, 1001), np.arange(1000), 30, log_x=True)
        self.assertEqual(curve.steps[:3], [1, 2, 3])

    def test_spread_steps(self):
        steps = list(range(100, 10001, 100))
        chosen = spread(steps, 6)
        self.assertEqual((chosen[0], chosen[-1]), (100, 10000))
        self.assertLessEqual(len(chosen), 6)
        ratios = np.divide(chosen[1:], chosen[:-1])
        self.assertLess(max(ratios) / min(ratios), 1.6)
        self.assertEqual(spread([5, 9], 6), [5, 9])

    def test_ticks_are_round_and_within(self):
        random = np.random.default_rng(2)
        for _ in range(500):
            low = random.normal() * 10 ** random.uniform(-6, 6)
            high = low + abs(low) * 10 ** random.uniform(-3, 3)
            ticks = axes.linear_ticks(low, high, 6)
            self.assertBetween(len(ticks), 2, 8, (low, high, ticks))
            margin = 1e-6 * (high - low)
            self.assertGreaterEqual(ticks[0], low - margin)
            self.assertLessEqual(ticks[-1], high + margin)
        self.assertEqual(
            axes.linear_ticks(0, 12000, 6),
            [0, 2000, 4000, 6000, 8000, 10000, 12000],
        )
        self.assertEqual(
            axes.log_ticks(1, 200), [1, 2, 5, 10, 20, 50, 100, 200]
        )
        self.assertEqual(axes.log_ticks(1, 30000), [1, 10, 100, 1000, 10000])

    def test_numbers_are_short(self):
        for value, text in (
            (0, "0"),
            (0.004, "0.004"),
            (0.00025, "0.00025"),
            (12000, "12,000"),
            (2.5e6, "2.5e6"),
            (3e-7, "3e-7"),
            (1.25, "1.25"),
        ):
            self.assertEqual(axes.number(value), text)

    def test_gaps_in_a_line(self):
        svg, _ = charts.line_chart(
            [charts.Series("a", "first", [0, 1, 2, 3], [1, math.nan, 2, 3])],
            label="A",
            x_title="x",
            y_title="y",
        )
        path = svg.partition('class="line first" d="')[2].partition('"')[0]
        self.assertEqual(path.count("M"), 2)
        self.assertEqual(path.count("L"), 1)


if __name__ == "__main__":
    absltest.main()
