"""Tests of which lines are new, against Python's own sets of lines."""

from unittest import mock

import numpy as np
from absl.testing import absltest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies

from kerasrnn.errors import UserError
from kerasrnn.text import novelty
from kerasrnn.text.vocabulary import Vocabulary

TEXTS = strategies.text(alphabet="ab\né🙂", max_size=60)


class NoveltyTest(absltest.TestCase):
    @settings(max_examples=300, deadline=None)
    @given(
        training=TEXTS,
        held_out=TEXTS,
        generated=TEXTS,
        kind=strategies.sampled_from(["characters", "bytes"]),
        block=strategies.integers(1, 9),
    )
    def test_lines_are_compared_as_sets(
        self, training, held_out, generated, kind, block
    ):
        whole = training + held_out + "\n"
        vocabulary = Vocabulary.from_text(whole + generated, kind)
        ids = vocabulary.encode(whole).astype(np.uint8)
        stop = len(vocabulary.encode(training))
        lines = novelty.complete_lines(generated)
        with mock.patch.object(novelty, "_BLOCK", block):
            found = novelty.find_novel(lines, ids, [(0, stop)], vocabulary)
        expected = [
            line
            for line in dict.fromkeys(lines)
            if line not in training.split("\n")
        ]
        self.assertEqual(list(found.novel), expected)
        new = [line for line in lines if line in expected]
        self.assertAlmostEqual(found.share, len(new) / max(len(lines), 1))

    def test_large_vocabularies(self):
        # Ids where UTF-32 has surrogates.
        characters = [chr(c) for c in range(10, 0xD800)]
        characters += [chr(c) for c in range(0xE000, 0xF000)]
        vocabulary = Vocabulary("characters", tuple(characters), 1)
        lines = [characters[i] for i in (1, 0xD7FE, 0xD7FF, 0xD800, 0xDFFF)]
        ids = vocabulary.encode("\n".join(lines[:3]))
        found = novelty.find_novel(lines, ids, [(0, len(ids))], vocabulary)
        self.assertEqual(list(found.novel), lines[3:])

    def test_complete_lines(self):
        self.assertEqual(novelty.complete_lines("a\n\nb\nc"), ["a", "b"])
        self.assertEqual(novelty.complete_lines("a\nc", True), ["a", "c"])
        self.assertEqual(novelty.complete_lines(""), [])

    def test_text_without_lines(self):
        vocabulary = Vocabulary.from_text("abc")
        with self.assertRaisesRegex(UserError, "no newline"):
            novelty.find_novel(["a"], np.ones(3), [(0, 3)], vocabulary)


if __name__ == "__main__":
    absltest.main()
