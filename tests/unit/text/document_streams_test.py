"""Documents of a corpus: every file ends one, and streams begin afresh."""

import pathlib
import re

import numpy as np
from absl.testing import absltest

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.text.batches.dataset import TextDataset
from kerasrnn.text.corpus import build_corpus


class DatasetTest(absltest.TestCase):
    def test_streams_and_joined_ranges_begin_afresh(self):
        ids = np.arange(100, 140)
        ranges = [(0, 17), (20, 39)]
        plain = TextDataset(ids, ranges, 3, 4)
        dataset = TextDataset(ids, ranges, 3, 4, documents=True)
        self.assertEqual(dataset.steps_per_epoch, 3)
        begun = set()
        for step in range(6):
            expected, actual = plain.batch(step), dataset.batch(step)
            marked = actual.inputs < 0
            inputs = np.where(marked, ~actual.inputs, actual.inputs)
            np.testing.assert_array_equal(inputs, expected.inputs)
            begun |= set(inputs[marked].tolist())
            # 120 follows 116: it is read afresh, and predicted by nobody.
            jump = expected.targets == 120
            np.testing.assert_array_equal(
                actual.targets, np.where(jump, 0, expected.targets)
            )
            self.assertEqual(marked[:, 0].all(), step % 3 == 0)
        self.assertEqual(begun, {100, 112, 120, 127})

    def test_a_stream_a_range(self):
        ids = np.arange(100, 140)
        dataset = TextDataset(ids, [(0, 9), (20, 29)], 2, 4, documents=True)
        batches = dataset.batches(0, 4)
        marked = batches.inputs < 0
        self.assertEqual(marked.sum(), 4)
        self.assertTrue(marked[::2, :, 0].all())
        self.assertTrue((batches.targets > 0).all())


class CorpusTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def build(self, *texts, **options):
        for index, text in enumerate(texts):
            (self.folder / f"{index}.txt").write_text(text)
        config = DataConfig(data=(str(self.folder / "*.txt"),), **options)
        return build_corpus(config, self.folder / "corpus")

    def text(self, corpus):
        return corpus.vocabulary.decode(corpus.ids)

    def test_every_file_ends_a_document(self):
        texts = ["one", "two;", "", "three", ""]
        for kind in ("characters", "bytes"):
            corpus = self.build(
                *texts, document_separator=";", vocabulary=kind, min_count=2
            )
            text = self.text(corpus)
            self.assertEqual(re.sub("[^;]", "x", text), "xxx;xxx;xxxxx;")
            separator = corpus.vocabulary.decode([corpus.separator_id])
            self.assertEqual(separator, ";")
            self.assertEqual(corpus.separator_id, corpus.vocabulary.start_id)
        # The text is another one without.
        corpus = self.build(*texts)
        self.assertEqual(self.text(corpus), "onetwo;three")
        self.assertEqual(corpus.separator_id, 0)

    def test_no_separator_in_the_text(self):
        with self.assertRaisesRegex(UserError, "does not occur"):
            self.build("one text", document_separator=";")
        corpus = self.build("one", "two", document_separator="\0")
        self.assertEqual(self.text(corpus), "one\0two")


class ConfigTest(absltest.TestCase):
    def test_separators_that_are_none_are_refused(self):
        with self.assertRaisesRegex(UserError, "one character"):
            DataConfig(document_separator="\n\n")
        with self.assertRaisesRegex(UserError, "one byte"):
            DataConfig(document_separator="€", vocabulary="bytes")
        with self.assertRaisesRegex(UserError, "separator_id"):
            ModelConfig(vocabulary_size=3, separator_id=3)
        with self.assertRaisesRegex(UserError, "separator_id"):
            Config(
                model=ModelConfig(vocabulary_size=3),
                data=DataConfig(document_separator="\n"),
            )


if __name__ == "__main__":
    absltest.main()
