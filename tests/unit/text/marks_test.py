"""Tests of kerasrnn.text.marks: what of a text its reader does not see."""

import json
import pathlib

import hypothesis
import numpy as np
from absl.testing import absltest
from hypothesis import strategies

from kerasrnn.config import DataConfig
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.marks import Marks
from kerasrnn.text.marks import MarksCounter
from kerasrnn.text.sources import read_blocks


class MarksTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.create_tempdir().full_path)

    def write(self, name, content):
        path = self.directory / name
        path.write_bytes(content.encode())
        return str(path)

    def build(self, *data, **config):
        return build_corpus(
            DataConfig(data=data, **config), self.directory / "corpus"
        )

    @hypothesis.settings(deadline=None, max_examples=100)
    @hypothesis.given(
        strategies.lists(
            strategies.text(
                strategies.sampled_from("a\r\n\ufeff\0"), min_size=1
            ),
            min_size=1,
            max_size=3,
        ),
        strategies.integers(1, 9),
    )
    def test_counts(self, texts, block_bytes):
        counter = MarksCounter()
        for text in texts:
            counter.begin_file()
            path = self.write("text", text)
            for block, _ in read_blocks(path, "characters", block_bytes):
                counter.count(block, np.bincount(block))
        self.assertEqual(
            counter.marks(),
            Marks(
                byte_order_marks=sum(t.startswith("\ufeff") for t in texts),
                returns_before_newline=sum(t.count("\r\n") for t in texts),
                lone_returns=sum(
                    t.count("\r") - t.count("\r\n") for t in texts
                ),
                nulls=sum(t.count("\0") for t in texts),
            ),
        )

    def test_sentences(self):
        self.assertEqual(Marks().sentences(), [])
        (sentence,) = Marks(
            byte_order_marks=1, returns_before_newline=1234, lone_returns=1
        ).sentences()
        self.assertIn(
            r"1 byte order mark, 1,234 \r\n and 1 lone \r, which", sentence
        )
        self.assertIn("--normalize_newlines", sentence)
        (sentence,) = Marks(byte_order_marks=2, lone_returns=3).sentences()
        self.assertIn(r"2 byte order marks and 3 lone \r, which", sentence)
        (sentence,) = Marks(nulls=5).sentences()
        self.assertIn("5 null characters", sentence)

    def test_a_corpus_keeps_them(self):
        paths = [
            self.write("a.txt", "\ufeffab\r\ncd\r" * 2),
            self.write("b.txt", "\nab\0"),
        ]
        corpus = self.build(*paths)
        expected = Marks(
            byte_order_marks=1,
            returns_before_newline=2,
            lone_returns=2,
            nulls=1,
        )
        self.assertEqual(corpus.marks, expected)
        self.assertEqual(self.build(*paths).marks, expected)
        self.assertIn("\r", corpus.vocabulary.characters)
        normalized = self.build(*paths, normalize_newlines=True)
        self.assertEqual(normalized.marks, Marks(nulls=1))
        self.assertEqual(
            normalized.vocabulary.decode(normalized.ids),
            "ab\ncd\n\ufeffab\ncd\n\nab\0",
        )

    def test_a_corpus_of_an_earlier_version_has_none(self):
        path = self.write("text", "a\r\n")
        manifest_path = self.directory / "corpus" / "corpus.json"
        self.build(path)
        manifest = json.loads(manifest_path.read_text())
        del manifest["marks"], manifest["config"]["normalize_newlines"]
        manifest_path.write_text(json.dumps(manifest))
        before = manifest_path.stat().st_ino
        self.assertEqual(Corpus(self.directory / "corpus").marks, Marks())
        self.build(path)
        self.assertEqual(manifest_path.stat().st_ino, before)


if __name__ == "__main__":
    absltest.main()
