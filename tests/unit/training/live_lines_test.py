"""Tests of lines that are written over, in a terminal that changes its width.

The terminal is modelled here: like most of today's it wraps anew, when its
width changes, what is longer than a row.
"""

import io
import os
import random
import re
from unittest import mock

import rich.console
import rich.text
from absl.testing import absltest

from kerasrnn.training.records.live_lines import LiveLines
from kerasrnn.training.records.live_lines import reflows
from kerasrnn.training.records.live_lines import rows

_CODES = re.compile(r"\x1b\[(\??\d*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class ReflowingTerminal:
    """The rows of a terminal whose cursor stands in the last of them."""

    def __init__(self, columns):
        self.columns = columns
        self.rows = [""]  # What begins a line ...
        self.wraps = [False]  # ... and whether a row goes on the row before.
        self.at, self.column = 0, 0

    def resize(self, columns):
        """Joins what was wrapped and wraps it anew."""
        lines = self._lines()
        self.columns, self.rows, self.wraps = columns, [], []
        for line in lines:
            for start in range(0, max(len(line), 1), columns):
                self.rows.append(line[start : start + columns])
                self.wraps.append(start > 0)
        self.at, self.column = len(self.rows) - 1, len(self.rows[-1])

    def write(self, written):
        """Does what was written."""
        for code in _CODES.finditer(written):
            count, name, returned, newline, text = code.groups()
            if text:
                self._put(text)
            elif returned:
                self.column = 0
            elif newline:
                self._down()
            elif name == "A":
                self.at = max(self.at - int(count or 1), 0)
            elif name == "K":
                self.rows[self.at] = ""
                self.wraps[self.at] = False

    def _down(self):
        self.at, self.column = self.at + 1, 0
        if self.at == len(self.rows):
            self.rows.append("")
            self.wraps.append(False)

    def _put(self, text):
        for character in text:
            if self.column == self.columns:
                self._down()
                self.wraps[self.at] = True
            row = self.rows[self.at].ljust(self.column)
            self.rows[self.at] = (
                row[: self.column] + character + row[self.column + 1 :]
            )
            self.column += 1

    def _lines(self):
        joined = []
        above = self.at + 1  # Below the cursor all is erased.
        for row, is_wrapped in zip(
            self.rows[:above], self.wraps[:above], strict=True
        ):
            if is_wrapped:
                joined[-1] += row
            else:
                joined.append(row)
        return joined

    def lines(self):
        """Returns the lines that are not empty, joined where they wrap."""
        return [line.rstrip() for line in self._lines() if line.strip()]


class LiveLinesTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.enter_context(
            mock.patch.dict(os.environ, {"TERM": "xterm-256color"})
        )
        os.environ.pop("XTERM_VERSION", None)

    def test_nothing_stays_whatever_the_width_becomes(self):
        choices = random.Random(1)
        for case in range(40):
            with self.subTest(case=case):
                self._check(choices)

    def _check(self, choices):
        output = io.StringIO()
        console = rich.console.Console(
            file=output, force_terminal=True, width=80, height=50
        )
        terminal = ReflowingTerminal(80)

        def written():
            terminal.write(output.getvalue())
            output.seek(0)
            output.truncate()

        notes = []
        lines = LiveLines(console)
        lines.auto_refresh = False  # The thread would draw at other times.
        lines.start()
        for step in range(12):
            if choices.random() < 0.3:
                columns = choices.randrange(12, 120)
                terminal.resize(columns)
                console.width = columns
            if choices.random() < 0.3:
                notes.append(f"note {step} " + "n" * choices.randrange(150))
                console.print(rich.text.Text(notes[-1]), soft_wrap=True)
            bar = "=" * console.width
            below = f"step {step}"
            lines.show(rich.text.Text(bar), rich.text.Text(below))
            lines.refresh()
            written()
            self.assertEqual(terminal.lines(), [*notes, bar, below])
        terminal.resize(30)
        console.width = 30
        lines.stop()
        written()
        self.assertEqual(terminal.lines(), notes)

    def test_rows_by_hand(self):
        self.assertEqual(rows([], 80), 0)
        self.assertEqual(rows([0, 80, 81, 160], 80), 1 + 1 + 2 + 2)
        self.assertEqual(rows([3], 0), 3)

    def test_terminals_that_cut_lines_off(self):
        for environment in (
            {"TERM": "xterm", "XTERM_VERSION": "XTerm(390)"},
            {"TERM": "linux"},
            {"TERM": "screen"},
        ):
            self.assertFalse(reflows(environment), environment)
        for environment in (
            {},
            {"TERM": "xterm-256color"},
            {"TERM": "screen", "TMUX": "/tmp/tmux-0/default,1,0"},
        ):
            self.assertTrue(reflows(environment), environment)


if __name__ == "__main__":
    absltest.main()
