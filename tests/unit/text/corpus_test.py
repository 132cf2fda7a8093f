"""A corpus holds the ids of its text, and is made anew when it must be."""

import hashlib
import json
import os
import pathlib
import unittest.mock

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.text_files import LONG_TEXT
from helpers.models.text_files import TextFilesTestCase

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.encoding import count_unknown
from kerasrnn.text.encoding import encode_file
from kerasrnn.text.sources import BLOCK_BYTES
from kerasrnn.text.vocabulary import Vocabulary


class BuildTest(TextFilesTestCase):
    def test_ids_of_several_files(self):
        first = self.write("a.txt", "\ufeffab\r\n")
        second = self.write("b.txt", "cañ")
        corpus = self.build(first, second)
        text = "\ufeffab\r\ncañ"
        self.assertEqual(corpus.vocabulary, Vocabulary.from_text(text))
        self.assertEqual(corpus.vocabulary.decode(corpus.ids), text)
        self.assertLen(corpus, len(text))
        self.assertEqual(corpus.ids.dtype, np.uint8)
        self.assertIsInstance(corpus.ids, np.memmap)
        self.assertEqual(corpus.num_unknown, 0)
        self.assertEqual(
            corpus.sha256, hashlib.sha256(corpus.ids.tobytes()).hexdigest()
        )
        again = Corpus(corpus.directory)
        again.verify()
        self.assertEqual(again.vocabulary, corpus.vocabulary)
        np.testing.assert_array_equal(again.ids, corpus.ids)

    @parameterized.parameters("characters", "bytes")
    def test_text_longer_than_a_block(self, kind):
        path = self.write("long.txt", "x" + LONG_TEXT)
        reports = []
        corpus = build_corpus(
            DataConfig(data=(path,), vocabulary=kind),
            self.directory / "corpus",
            progress=lambda *arguments: reports.append(arguments),
        )
        self.assertEqual(corpus.vocabulary.decode(corpus.ids), "x" + LONG_TEXT)
        size = os.path.getsize(path)
        for what in ("counting", "encoding"):
            done = [r[0] for r in reports if r[2] == what]
            self.assertGreater(len(done), 2)
            self.assertEqual(done, sorted(done))
            self.assertEqual(done[-1], size)
        self.assertEqual({total for _, total, _ in reports}, {size})

    @parameterized.parameters(
        (255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, "<i4")
    )
    def test_ids_are_as_small_as_fits(self, num_characters, dtype):
        text = "".join(map(chr, range(0x10000, 0x10000 + num_characters)))
        corpus = self.build(self.write("text", text))
        self.assertEqual(corpus.ids.dtype, np.dtype(dtype))
        self.assertEqual(corpus.ids.tolist(), [*range(1, num_characters + 1)])

    def test_counts_of_ranges(self):
        ids = np.random.default_rng(3).integers(0, 60, 5000)
        path = self.write("text", "".join(chr(0x41 + i) for i in ids))
        corpus = self.build(path)
        ranges = [(0, 700), (1000, 1001), (2000, 5000)]
        with unittest.mock.patch("kerasrnn.text.corpus._BLOCK", 64):
            counts = corpus.counts(ranges)
        expected = np.zeros(len(corpus.vocabulary), int)
        for start, end in ranges:
            np.add.at(expected, corpus.ids[start:end], 1)
        np.testing.assert_array_equal(counts, expected)
        self.assertEqual(counts.sum(), 3701)

    def test_rare_characters_are_unknown(self):
        corpus = self.build(self.write("text", "aabbc"), min_count=2)
        self.assertEqual(corpus.ids.tolist(), [1, 1, 2, 2, 0])
        self.assertEqual(corpus.num_unknown, 1)

    def test_given_vocabulary(self):
        path = self.write("text", "abcd")
        vocabulary = Vocabulary.from_text("bdx")
        corpus = self.build(path, vocabulary=vocabulary)
        self.assertEqual(corpus.vocabulary, vocabulary)
        self.assertEqual(corpus.ids.tolist(), [0, 1, 0, 2])
        self.assertEqual(corpus.num_unknown, 2)
        with self.assertRaisesRegex(UserError, "--vocabulary=bytes"):
            self.build(path, vocabulary=Vocabulary.from_text("b", "bytes"))

    def test_encode_file(self):
        path = self.write("long.txt", LONG_TEXT)
        vocabulary = Vocabulary.from_text("aあ")
        ids = encode_file(path, vocabulary)
        np.testing.assert_array_equal(ids, vocabulary.encode(LONG_TEXT))
        for name in ("none.txt", ""):
            with self.assertRaises(UserError):
                encode_file(self.directory / name, vocabulary)

    def test_count_unknown(self):
        ids = np.random.default_rng(0).integers(0, 3, 3 * BLOCK_BYTES)
        ranges = [(7, 9), (100, 100), (101, 2 * BLOCK_BYTES + 150)]
        expected = sum((ids[a:b] == 0).sum() for a, b in ranges)
        self.assertEqual(count_unknown(ids, ranges), expected)

    def test_too_short(self):
        self.write("a.txt", "")
        with self.assertRaisesRegex(UserError, "is empty"):
            self.build(str(self.directory / "*.txt"))
        self.write("b.txt", "b")
        with self.assertRaisesRegex(UserError, "1 character.* longer text"):
            self.build(str(self.directory / "*.txt"))

    def test_where_nothing_can_be_written(self):
        path = self.write("text", "some text")
        self.write("corpus", "a file is in the way")
        with self.assertRaisesRegex(UserError, "give a directory"):
            self.build(path)


class ReuseTest(TextFilesTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.write("text", "first text")
        self.corpus = self.build(self.path)

    def assert_reused(self, *data, **arguments):
        passes = []
        corpus = self.build(
            *data, progress=lambda *a: passes.append(a), **arguments
        )
        self.assertEmpty(passes)
        return corpus

    def assert_remade(self, *data, **arguments):
        passes = []
        corpus = self.build(
            *data, progress=lambda *a: passes.append(a), **arguments
        )
        self.assertNotEmpty(passes)
        self.assertCountEqual(
            os.listdir(corpus.directory),
            ["corpus.json", os.path.basename(corpus.ids.filename)],
        )
        return corpus

    def test_same_text(self):
        before = os.stat(self.corpus.ids.filename)
        self.assert_reused(self.path)
        after = os.stat(self.corpus.ids.filename)
        self.assertEqual(before.st_ino, after.st_ino)
        self.assert_reused(self.path, vocabulary=self.corpus.vocabulary)

    def test_another_split_of_the_same_text(self):
        corpus = self.assert_reused(self.path, validation_fraction=0.5)
        self.assertEqual(corpus.split_ranges("validation"), [(5, 10)])
        self.assertEqual(
            Corpus(corpus.directory).split_ranges("validation"), [(5, 10)]
        )

    def test_other_text(self):
        os.utime(self.path, ns=(1, 1))
        self.assert_remade(self.path)
        self.write("text", "other text, longer")
        corpus = self.assert_remade(self.path)
        self.assertEqual(
            corpus.vocabulary.decode(corpus.ids), "other text, longer"
        )
        more = self.write("more", "!")
        self.assert_remade(self.path, more)
        self.assert_remade(more, self.path)

    def test_other_vocabulary(self):
        self.assert_remade(self.path, min_count=2)
        vocabulary = Vocabulary.from_text("tex")
        self.assert_remade(self.path, vocabulary=vocabulary)
        self.assert_reused(self.path, vocabulary=vocabulary)
        other = Vocabulary.from_text("other")
        corpus = self.assert_remade(self.path, vocabulary=other)
        self.assertEqual(corpus.vocabulary, other)
        self.assert_remade(self.path)

    def test_damage_is_seen_and_mended(self):
        ids = pathlib.Path(self.corpus.ids.filename)
        manifest = self.corpus.directory / "corpus.json"
        good = json.loads(manifest.read_bytes())
        for damage in (
            lambda: ids.unlink(),
            lambda: ids.write_bytes(b"\1"),
            lambda: ids.write_bytes(b""),
            lambda: manifest.unlink(),
            lambda: manifest.write_bytes(b""),
            lambda: manifest.write_bytes(b"[" * 100_000),
            lambda: manifest.write_text("[]"),
            lambda: manifest.write_text(json.dumps(good | {"version": 99})),
            lambda: manifest.write_text(json.dumps(good | {"sha256": "/x"})),
            lambda: manifest.write_text(json.dumps(good | {"dtype": "O"})),
            lambda: manifest.write_text(json.dumps(good | {"config": {}})),
            lambda: manifest.write_text(json.dumps(good | {"vocabulary": 1})),
        ):
            damage()
            with self.assertRaises(UserError):
                Corpus(self.corpus.directory)
            self.assert_remade(self.path)

    def test_verify(self):
        path = pathlib.Path(self.corpus.ids.filename)
        path.write_bytes(path.read_bytes()[::-1])
        with self.assertRaisesRegex(UserError, "damaged"):
            Corpus(self.corpus.directory).verify()


if __name__ == "__main__":
    absltest.main()
