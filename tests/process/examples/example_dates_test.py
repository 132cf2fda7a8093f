"""The example that reads dates, in its short form."""

import datetime
import re

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.processes.example_process import run_example

HELD_OUT = 300
FLAGS = (
    ("--epochs=2",)
    if FULL
    else ("--epochs=1", "--batches=800", "--batch=32", "--units=64")
) + (f"--held_out={HELD_OUT}",)


class DatesTest(absltest.TestCase):
    def test_dates_never_seen_are_written_in_digits(self):
        example = run_example(
            "examples/dates.py",
            self.create_tempdir().full_path,
            *FLAGS,
            "--output=page.html",
        )
        by_spelling = re.findall(
            r"^ +([\d.]+)%  (.*?) +-> (.*)$", example.printed, re.MULTILINE
        )
        self.assertLen(by_spelling, 10)
        mean = sum(float(share) for share, *_ in by_spelling) / 10
        self.assertAlmostEqual(mean, example.percentage(), delta=0.02)

        page = (example.folder / "page.html").read_text("utf-8")
        rows = re.findall(r"<tr>(.*?)</tr>", page)
        cells = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
        wrong = [row for row in cells[11:] if row]
        count = HELD_OUT * 10
        self.assertLen(wrong, round(count * (1 - mean / 100)))
        wrong_years = 0
        for read, written, expected in wrong:
            self.assertNotEqual(written, expected)
            year = str(datetime.date.fromisoformat(expected).year)
            self.assertIn(year[2:], read)
            wrong_years += not written.startswith(year)
        if FULL:
            # By chance one in 36,525.
            self.assertGreater(mean, 2)
        # By chance one in 100.
        self.assertLess(wrong_years / count, 0.8)


if __name__ == "__main__":
    absltest.main()
