"""The example that reads dates, in its short form."""

import datetime
import re

from absl.testing import absltest
from helpers.processes.example_process import run_example


class DatesTest(absltest.TestCase):
    def test_dates_never_seen_are_written_in_digits(self):
        example = run_example(
            "examples/dates.py",
            self.create_tempdir().full_path,
            "--epochs=2",
            "--output=page.html",
        )
        # By chance one in 36,525.
        self.assertGreater(example.percentage(), 2)
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
        self.assertLen(wrong, round(2000 * 10 * (1 - mean / 100)))
        for read, written, expected in wrong:
            self.assertNotEqual(written, expected)
            year = str(datetime.date.fromisoformat(expected).year)
            self.assertIn(year[2:], read)


if __name__ == "__main__":
    absltest.main()
