"""Tests of kerasrnn.text.recognition: what a file is that is no UTF-8."""

import bz2
import gzip
import lzma
import pathlib
import shlex
import subprocess
import zipfile

import hypothesis
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.sources import read_blocks
from kerasrnn.text.vocabulary import Vocabulary

TEXT = "Der Zug fährt früh, très tôt – «voilà» said the señor.\n"
ENCODED = (
    ("latin-1", "Latin-1", TEXT.replace("–", "-")),
    ("cp1252", "Windows-1252", TEXT),
    ("cp1252", "Windows-1252", "It’s plain, with one kind of quotes.\n"),
    ("cp1251", "another encoding", "Война и мир, том первый.\n"),
    ("koi8-r", "another encoding", "Война и мир, том первый.\n"),
    ("shift_jis", "another encoding", "吾輩は猫である。名前はまだ無い。\n"),
    ("gb18030", "another encoding", "道可道,非常道。名可名,非常名。\n"),
)


def message_of(path, **options):
    """Returns what is told where the file cannot be read."""
    try:
        for _ in read_blocks(path, "characters", **options):
            pass
    except UserError as error:
        return str(error)
    raise AssertionError(f"{path} was read")


class FilesTestCase(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return path


class RecognitionTest(FilesTestCase):
    @parameterized.parameters(
        ("gzip", gzip.compress, "gunzip -k"),
        ("bzip2", bz2.compress, "bunzip2 -k"),
        ("xz", lzma.compress, "unxz -k"),
    )
    def test_compressed(self, name, compress, command):
        path = self.write("a text.txt.packed", compress(TEXT.encode() * 99))
        message = message_of(path)
        self.assertIn(f"compressed by {name}, not text", message)
        self.assertIn(f"`{command} {shlex.quote(str(path))}`", message)
        # Neither is of any use.
        self.assertNotIn("bytes", message)
        self.assertNotIn("UTF-8", message)

    def test_archive(self):
        path = self.folder / "book.epub"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("text.txt", TEXT * 99)
        self.assertIn("is a zip archive, not text.", message_of(path))

    @parameterized.parameters("utf-16", "utf-16-be", "utf-32", "utf-32-be")
    def test_byte_order_mark(self, encoding):
        mark = "\ufeff" if encoding.endswith("be") else ""
        path = self.write("a.txt", (mark + TEXT).encode(encoding))
        message = message_of(path)
        self.assertIn(f"is {encoding[:6].upper()} text", message)
        self.assert_conversion(message, TEXT)

    @parameterized.parameters(*ENCODED)
    def test_encoding(self, encoding, name, text):
        path = self.write("it's.txt", text.encode(encoding) * 99)
        message = message_of(path)
        self.assertIn(f"It looks like {name}", message.replace("text in ", ""))
        self.assertIn("--vocabulary=bytes", message)
        if name != "another encoding":
            self.assert_conversion(message, text * 99)
        self.assertNotIn("bytes with", message_of(path, kind_is_fixed=True))

    def assert_conversion(self, message, text):
        """Runs the command of the message; reads what it has made."""
        command = message.split("`")[1]
        subprocess.run(command, shell=True, check=True, cwd=self.folder)
        made = pathlib.Path(shlex.split(command)[-1])
        self.assertEqual(made.read_text(encoding="utf-8"), text)
        self.assertEqual(made.suffix, ".txt")

    def test_damaged_text(self):
        data = bytearray((TEXT * 2000).encode())
        data[60_001:60_003] = b"\xff\xff"
        message = message_of(self.write("a.txt", bytes(data)))
        self.assertIn("at byte offset 60001 (0xff)", message)
        self.assertIn("All else near it is UTF-8", message)
        self.assertNotIn("iconv", message)

    def test_binary(self):
        data = bytes(range(256)) * 50
        self.assertIn("binary data", message_of(self.write("a.bin", data)))

    @hypothesis.settings(deadline=None, max_examples=200)
    @hypothesis.given(
        strategies.sampled_from(["latin-1", "cp1252"]),
        strategies.text(
            strategies.characters(codec="cp1252", exclude_categories=["C"]),
            min_size=20,
            max_size=200,
        ),
    )
    def test_a_recognized_encoding_gives_the_text(self, encoding, text):
        try:
            data = f"The words: {text}.\n".encode(encoding)
        except UnicodeEncodeError:
            hypothesis.reject()
        try:
            data.decode()
        except UnicodeDecodeError:
            pass
        else:
            hypothesis.reject()
        message = message_of(self.write("a.txt", data))
        if "Latin-1" in message:
            self.assertEqual(data.decode("latin-1"), data.decode(encoding))
        elif "Windows-1252" in message:
            self.assertEqual(data.decode("cp1252"), data.decode(encoding))


class SeveralErrorsTest(FilesTestCase):
    def build(self, *data, vocabulary=None):
        return build_corpus(
            DataConfig(data=tuple(map(str, data))),
            self.folder / "corpus",
            vocabulary,
        )

    def assert_all_named(self, names, build):
        with self.assertRaises(UserError) as caught:
            build()
        lines = str(caught.exception).splitlines()
        self.assertRegex(lines[0], rf"{len(names)} .* cannot be used:$")
        self.assertLen(lines, 1 + len(names))
        for name, line in zip(names, lines[1:], strict=True):
            self.assertRegex(line, rf"^  \S.*{name}")
        return lines

    def test_files_that_cannot_be_read(self):
        good = self.write("good.txt", b"abc")
        bad = [
            self.write("a.gz", gzip.compress(b"abc")),
            self.write("b.txt", "é".encode("latin-1")),
            self.write("c.txt", "é".encode("utf-16")),
        ]
        names = ["a.gz", "b.txt", "c.txt"]
        paths = [bad[0], good, bad[1], bad[2]]
        self.assert_all_named(names, lambda: self.build(*paths))
        vocabulary = Vocabulary.from_text("abc")
        self.assert_all_named(
            names, lambda: self.build(*paths, vocabulary=vocabulary)
        )

    def test_paths_of_no_use(self):
        good = self.write("good.txt", b"abc")
        missing = str(self.folder / "missing.txt")
        folder = str(self.folder)
        pattern = str(self.folder / "*.md")
        self.assert_all_named(
            ["missing.txt", "is a directory", r"\*\.md"],
            lambda: self.build(missing, good, folder, pattern),
        )

    def test_no_more_than_ten(self):
        paths = [
            self.write(f"{n:02}.txt", "é".encode("latin-1")) for n in range(12)
        ]
        names = [f"{n:02}.txt" for n in range(10)]
        lines = self.assert_all_named(names, lambda: self.build(*paths))
        self.assertStartsWith(lines[0], "At least 10 files")


if __name__ == "__main__":
    absltest.main()
