"""Tests of the probes: against Python's own tokenizer, and by hand."""

import ast
import io
import json
import re
import textwrap
import tokenize

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies

from kerasrnn.reporting.probes import PROBES
from kerasrnn.reporting.probes import SOON
from kerasrnn.reporting.probes import SYNTAXES
from kerasrnn.reporting.probes import probe_values
from kerasrnn.reporting.probes import syntax_of

INDICES = {probe.name: index for index, probe in enumerate(PROBES)}

# Modules in Python alone, with all kinds of strings and comments.
MODULES = (ast, io, json.decoder, textwrap, tokenize)

# What is marked by hand, line by line: text, then ^ where a probe is not 0.
C_QUOTES = r"""
/* Set "x" to

   one. */

int f(void) { // it's

    char c = '"', *s = "a\\"(b";
             ^^        ^^^^^^
"""
C_COMMENTS = r"""
/* Set "x" to
 ^^^^^^^^^^^^^
   one. */
^^^^^^^^^
#include <a.h>

int f(void) { // it's
               ^^^^^^
    char *s = "//";

"""
C_BRACKETS = r"""
int f(void) { // (
     ^^^^^
    g(a[1], "(");
     ^^^^^^^^^^
}

"""
PROSE_QUOTES = r"""
He didn't say "yes, not
              ^^^^^^^^^^
(me)" but “no”: 'tis "so
^^^^      ^^^


end" of it.

"""
PROSE_NUMBERS = r"""
12.5 of x86, 1,000
^^^^         ^ ^^^
"""
PROSE_WORDS = r"""
It's naïve_x 2 Wörter.
^^ ^ ^^^^^ ^   ^^^^^^
"""
TEX_COMMENTS = r"""
\section{A} 50\% % b
                 ^^^
\emph{x} %
         ^
"""
TEX_QUOTES = r"""
a ``b c'' don't
   ^^^^^
"""
HASH_INDENTATION = r"""
def f(x):

    return x +  1
^^^^
\t\ty = 2
^^
"""


def values(text, name, syntax):
    return probe_values(text, syntax)[INDICES[name]]


def marked(drawing):
    """Returns the text of a drawing, and bool of the characters marked."""
    lines = drawing.replace("\\t", "\t").replace("\\\\", "\\").split("\n")[1:-1]
    text, marks = "", ""
    for line, mark in zip(lines[::2], lines[1::2], strict=True):
        text += line + "\n"
        marks += mark.ljust(len(line) + 1)
    return text, np.array([mark == "^" for mark in marks])


class TokenizedPython:
    """What Python's tokenizer says of a source text."""

    def __init__(self, source):
        lines = source.splitlines(keepends=True)
        self._starts = np.cumsum([0, *map(len, lines)])
        self.quotes = np.zeros(len(source), bool)
        self.comment = np.zeros(len(source), bool)
        self.depth = np.zeros(len(source), int)
        changes = np.zeros(len(source) + 1, int)
        formatted = []  # From Python 3.12 on, f-strings are not one token.
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            start, end = self._place(token.start), self._place(token.end)
            kind = tokenize.tok_name[token.type]
            if kind == "FSTRING_START":
                formatted.append((start, token.string))
            elif kind == "FSTRING_END":
                self._mark_string(*formatted.pop(), end)
            elif kind == "STRING":
                self._mark_string(start, token.string, end)
            elif kind == "COMMENT":
                self.comment[start:end] = True
            elif kind == "OP" and not formatted:
                changes[start] += token.string in "([{"
                changes[start] -= token.string in ")]}"
        self.depth = np.cumsum(changes)[:-1]

    def _place(self, position):
        line, column = position
        return self._starts[min(line - 1, len(self._starts) - 1)] + column

    def _mark_string(self, start, text, end):
        opening = re.match(r"\w*(\"{3}|'{3}|.)", text).end()
        self.quotes[start + opening - 1 : end - 1] = True


class ProbesTest(parameterized.TestCase):
    @parameterized.parameters(*MODULES)
    def test_python_is_taken_apart_as_by_its_own_tokenizer(self, module):
        with open(module.__file__, encoding="utf-8") as file:
            source = file.read()
        self.assertEqual(syntax_of(source), "hash")
        found = probe_values(source, "hash")
        expected = TokenizedPython(source)
        for name in ("quotes", "comment", "depth"):
            wrong = np.flatnonzero(
                found[INDICES[name]] != getattr(expected, name)
            )
            places = [source[max(i - 20, 0) : i + 20] for i in wrong[:3]]
            self.assertEmpty(places, name)
            self.assertGreater(found[INDICES[name]].sum(), 100, name)

    @parameterized.parameters(
        ("c", "quotes", C_QUOTES),
        ("c", "comment", C_COMMENTS),
        ("c", "brackets", C_BRACKETS),
        ("prose", "quotes", PROSE_QUOTES),
        ("prose", "number", PROSE_NUMBERS),
        ("prose", "word", PROSE_WORDS),
        ("tex", "comment", TEX_COMMENTS),
        ("tex", "quotes", TEX_QUOTES),
        ("hash", "indenting", HASH_INDENTATION),
    )
    def test_marked_by_hand(self, syntax, name, drawing):
        text, expected = marked(drawing)
        found = values(text, name, syntax)
        show = "".join("^" if value else " " for value in found)
        self.assertEqual(found.tolist(), expected.tolist(), f"{text}{show}")

    def test_depths(self):
        text = "f(a[(b)], c})]\n    x\n\ty\n"
        self.assertEqual(
            values(text, "depth", "c").tolist(),
            [0, 1, 1, 2, 3, 3, 2, 1, 1, 1, 1, 1, 0, *[0] * 11],
        )
        self.assertEqual(
            values(text, "indentation", "c").tolist(),
            [*[0] * 15, 1, 2, 3, 4, 4, 0, 8, 8, 0],
        )

    @parameterized.parameters(
        ("hash", "import os\n\n\ndef f(x):\n    return os.listdir(x)\n"),
        ("c", C_COMMENTS),
        ("prose", "KING:\nNow is the winter of our discontent\n\nAll:\nAh"),
        ("tex", "\\begin{proof}\nLet $x = 2$; then\n\\emph{so}.\n\\end{proof}"),
        ("prose", ""),
    )
    def test_syntax(self, syntax, text):
        self.assertEqual(syntax_of(text), syntax)

    @settings(max_examples=200, deadline=None)
    @given(
        text=strategies.text(
            alphabet="ab1 \n\t\"'`()[]{}#%/*\\<!->“”«»é🙂_.\x00", max_size=80
        ),
        syntax=strategies.sampled_from(SYNTAXES),
    )
    def test_any_text_has_values(self, text, syntax):
        found = probe_values(text, syntax)
        self.assertEqual(found.shape, (len(PROBES), len(text)))
        self.assertTrue(np.isfinite(found).all())
        self.assertTrue((found >= 0).all())
        self.assertFalse(
            (found[INDICES["quotes"]] * found[INDICES["comment"]]).any()
        )
        for index in range(len(text)):
            line_start = text.rfind("\n", 0, index + 1)
            self.assertEqual(
                found[INDICES["position"], index], index - line_start
            )
            self.assertEqual(
                found[INDICES["newline"], index],
                "\n" in text[index + 1 : index + 1 + SOON],
            )
        self.assertIn(syntax_of(text), SYNTAXES)


if __name__ == "__main__":
    absltest.main()
