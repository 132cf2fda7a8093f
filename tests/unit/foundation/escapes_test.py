"""Escapes, against what Python's own compiler makes of them."""

import ast
import string

from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from kerasrnn.command_line.escapes import unescaped

_PIECES = (
    [rf"\{character}" for character in "abfnrtv\\'"]
    + [r"\0", r"\101", r"\x3b", r"\xe9", r"\u20ac", r"\U0001f642"]
    + [r"\N{BULLET}", "é", "🙂", "\n", " "]
    + [c for c in string.printable if c not in "\\'\r"]
)


class EscapesTest(parameterized.TestCase):
    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.sampled_from(_PIECES)).map("".join))
    def test_they_are_python_s(self, text):
        self.assertEqual(unescaped(text), ast.literal_eval(f"'''{text}'''"))

    @settings(max_examples=300, deadline=None)
    @given(st.text())
    def test_doubled_backslashes_write_any_text(self, text):
        self.assertEqual(unescaped(text.replace("\\", "\\\\")), text)

    @parameterized.parameters(
        "\\", r"a\q", r"\x3", r"\ud800", r"\U00110000", r"\N{NO SUCH}", r"\8"
    )
    def test_what_is_no_escape_stays(self, text):
        self.assertEqual(unescaped(text), text)


if __name__ == "__main__":
    absltest.main()
