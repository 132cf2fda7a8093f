"""Files of little but marks are read, or refused in a sentence."""

import hypothesis
import numpy as np
from absl.testing import absltest
from helpers.models.text_files import TextFilesTestCase
from hypothesis import strategies

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.encoding import encode_file
from kerasrnn.text.vocabulary import Vocabulary

MARK = b"\xef\xbb\xbf"
pieces = strategies.lists(
    strategies.sampled_from((MARK, b"\r", b"\n", b"a")), max_size=4
)
kinds = strategies.sampled_from(("characters", "bytes"))


def text_of(content, kind, normalize):
    """Returns the expected text; bytes are decoded as Latin-1."""
    if normalize:
        content = content.removeprefix(MARK)
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content.decode("utf-8" if kind == "characters" else "latin-1")


class NearlyEmptyFilesTest(TextFilesTestCase):
    @hypothesis.settings(deadline=None, max_examples=60)
    @hypothesis.example([MARK], "characters", True)
    @hypothesis.example([MARK], "bytes", True)
    @hypothesis.given(pieces, kinds, strategies.booleans())
    def test_each_is_read_or_refused(self, content, kind, normalize):
        path = self.write("text.txt", b"".join(content))
        expected = text_of(b"".join(content), kind, normalize)
        vocabulary = Vocabulary.from_counts(kind, np.ones(256, int))
        codes = np.array([*map(ord, expected)], np.uint32)
        ids = vocabulary.encode_code_points(codes)
        if not expected:
            with self.assertRaisesRegex(UserError, "text.txt is empty"):
                encode_file(path, vocabulary, normalize)
        else:
            actual = encode_file(path, vocabulary, normalize)
            np.testing.assert_array_equal(actual, ids)
        data = DataConfig(
            data=(path,), vocabulary=kind, normalize_newlines=normalize
        )
        if len(expected) < 2:
            with self.assertRaisesRegex(UserError, "empty|has 1 character"):
                build_corpus(data, self.directory / "corpus")
        else:
            corpus = build_corpus(data, self.directory / "corpus")
            self.assertLen(corpus, len(expected))

    def test_training_on_with_another_vocabulary(self):
        path = self.write("text.txt", MARK)
        with self.assertRaisesRegex(UserError, "The text has 0 characters"):
            self.build(
                path,
                vocabulary=Vocabulary.from_text("ab"),
                normalize_newlines=True,
            )


if __name__ == "__main__":
    absltest.main()
