"""Tests of kerasrnn.training.records.announcement: what a new training says."""

import math
import os
import pathlib
import subprocess
import sys

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources.repository import ROOT

from kerasrnn.config import DataConfig
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.frequencies import baselines
from kerasrnn.training.records.announcement import of_standard_library
from kerasrnn.training.records.announcement import of_text
from kerasrnn.training.records.announcement import remark_on
from kerasrnn.training.records.announcement import similar_directories


class SimilarTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        for name in ("my_model", "models/first", "models/second", "alice"):
            self.train(name)
        (self.folder / "my_modem").mkdir()
        (self.folder / "my_mode").write_text("no directory")

    def train(self, name):
        (self.folder / name / "checkpoints" / "12").mkdir(parents=True)

    @parameterized.parameters(
        ("my_modle", ["my_model"]),
        ("my_mdel", ["my_model"]),
        # One that is there, without a training.
        ("my_modem", ["my_model"]),
        ("modles/first", ["models/first"]),
        ("models/frist", ["models/first"]),
        ("modles/other", []),
        ("workdir", []),
        (".", []),
        ("no/such/place", []),
    )
    def test_similar(self, name, expected):
        for start in (self.folder, pathlib.Path()):
            previous = os.getcwd()
            os.chdir(self.folder)
            try:
                found = similar_directories(start / name)
            finally:
                os.chdir(previous)
            self.assertEqual(found, [start / path for path in expected])

    def test_a_few_of_many(self):
        for number in range(9):
            self.train(f"run{number}")
        self.assertLen(similar_directories(self.folder / "run_1"), 3)

    def test_commands_can_be_copied(self):
        self.train("my model")
        said = of_standard_library(self.folder / "my modell")
        self.assertIn(f"--workdir='{self.folder}/my model'", said)


class TextTest(absltest.TestCase):
    def build(self, content, embedding_size=0, **options):
        folder = pathlib.Path(self.create_tempdir().full_path)
        (folder / "text.txt").write_bytes(content)
        data = DataConfig(data=(str(folder / "text.txt"),), **options)
        corpus = build_corpus(data, folder / "corpus")
        return of_text(corpus, embedding_size)

    def test_nothing_to_say(self):
        self.assertEqual(self.build(b"abc\n" * 9), [])

    def test_marks(self):
        (sentence,) = self.build(b"abc\r\n" * 9)
        self.assertIn(r"9 \r\n, which", sentence)
        self.assertEqual(self.build(b"a\r\n" * 9, normalize_newlines=True), [])
        # Bytes are read whatever they mean.
        self.assertEqual(self.build(b"a\r\n\0" * 9, vocabulary="bytes"), [])

    def test_rare_characters(self):
        (sentence,) = self.build(b"abc\n" * 24 + b"defg", min_count=5)
        self.assertStartsWith(
            sentence,
            "Unknown to the model, because rarer than --min_count=5: 4 of 100 "
            "characters (4%). ",
        )

    def test_many_kinds(self):
        text = "".join(map(chr, range(0x4E00, 0x4E00 + 1000)))
        (sentence,) = self.build((text * 3).encode())
        self.assertStartsWith(sentence, "The text has 1,000 kinds of char")
        for flag in ("--embedding_size", "--min_count", "--vocabulary=bytes"):
            self.assertIn(flag, sentence)
        self.assertEqual(self.build(text[1:].encode() * 3), [])
        self.assertEqual(self.build(text.encode(), vocabulary="bytes"), [])
        self.assertEqual(self.build(text.encode() * 3, embedding_size=64), [])


class RemarkTest(parameterized.TestCase):
    def remark(self, loss, ids, step=1000):
        ids = np.asarray(ids)
        middle = len(ids) // 2
        compared = baselines(
            ids, [(0, middle)], [(middle, len(ids))], int(ids.max()) + 1
        )
        return remark_on(loss, step, None, 0, compared)

    def test_a_model_that_has_learned_only_frequencies(self):
        ids = np.tile([1, 2, 3, 4], 5000)
        self.assertIn("hardly better", self.remark(math.log(4), ids))
        self.assertEqual(self.remark(math.log(4), ids, step=100), "")
        self.assertEqual(self.remark(0.5, ids), "")

    def test_where_no_model_can_be_better(self):
        # One kind of character; and many, in an order without any rule.
        self.assertEqual(self.remark(0.0, np.ones(5000, int)), "")
        self.assertEqual(self.remark(1e-6, np.ones(5000, int)), "")
        ids = np.random.default_rng(0).integers(1, 9, 20_000)
        for loss in (2.08, 2.1, 3.0):
            self.assertEqual(self.remark(loss, ids), "")


class ProcessTest(absltest.TestCase):
    def first_lines(self, folder, last, *arguments):
        """Returns the lines up to one that begins as said; ends the program."""
        with subprocess.Popen(
            [sys.executable, "-m", "kerasrnn.train", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            # On a GPU no batch size is chosen.
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "CUDA_VISIBLE_DEVICES": "",
            },
        ) as process:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith(last):
                    break
            process.kill()
        return lines

    def test_a_mistyped_directory_without_a_text(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        (folder / "my_model" / "checkpoints" / "12").mkdir(parents=True)
        lines = self.first_lines(
            folder, "    kerasrnn-train", "--workdir=my_modle"
        )
        self.assertStartsWith(
            lines[0],
            "There is no run in my_modle and no --data is given: a new "
            "model is trained on the source code of Python's standard library",
        )
        self.assertEqual(lines[2], "    kerasrnn-train --workdir=my_model\n")

    def test_marks_are_told_before_the_training(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        (folder / "text.txt").write_bytes(b"to be or not to be\r\n" * 999)
        lines = self.first_lines(folder, "Starting", "--data=text.txt")
        self.assertStartsWith(lines[-3], r"The text has 999 \r\n, which")
        self.assertStartsWith(lines[-2], "Chosen by rule: --learning_rate=")
        self.assertIn("--batch_size=", lines[-2])
        lines = self.first_lines(
            folder, "Starting", "--data=text.txt", "--strategy=mirrored"
        )
        self.assertStartsWith(lines[-2], "Chosen by rule: --learning_rate=")
        self.assertNotIn("--batch_size=", lines[-2])


if __name__ == "__main__":
    absltest.main()
