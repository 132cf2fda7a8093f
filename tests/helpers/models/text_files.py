"""Files of text to build corpora from."""

import pathlib

from absl.testing import parameterized

from kerasrnn.config import DataConfig
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.sources import BLOCK_BYTES

# More than two blocks, which end inside of three-byte characters.
LONG_TEXT = "Öaあ漢\r\n\U0001f600" * (BLOCK_BYTES // 7)


class TextFilesTestCase(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.create_tempdir())

    def write(self, name, content):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        return str(path)

    def build(self, *data, vocabulary=None, progress=None, **config):
        return build_corpus(
            DataConfig(data=data, **config),
            self.directory / "corpus",
            vocabulary,
            progress,
        )
