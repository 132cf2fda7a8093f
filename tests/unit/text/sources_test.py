"""Which files are read, in which order, and how their bytes become text."""

import os
import pathlib
import unittest.mock

import hypothesis
from absl.testing import absltest
from helpers.models.text_files import TextFilesTestCase
from hypothesis import strategies

from kerasrnn.errors import UserError
from kerasrnn.text import recognition
from kerasrnn.text.corpus import resolve
from kerasrnn.text.sources import read_blocks

quick = hypothesis.settings(deadline=None, max_examples=100)


class ResolveTest(TextFilesTestCase):
    def test_order_and_repeats(self):
        a, b, c = (self.write(f"{n}.txt", n) for n in "abc")
        everything = str(self.directory / "*.txt")
        self.assertEqual(resolve([everything]), [*map(pathlib.Path, (a, b, c))])
        self.assertEqual(
            resolve([c, everything, a]), [*map(pathlib.Path, (c, a, b))]
        )

    def test_links_are_the_same_file(self):
        path = self.write("text", "a")
        link = self.directory / "link"
        link.symlink_to(path)
        self.assertEqual(resolve([str(link), path]), [link])

    def test_patterns_go_down_and_skip_directories(self):
        a = self.write("x/y/a.txt", "a")
        b = self.write("b.txt", "b")
        (self.directory / "c.txt").mkdir()
        self.assertEqual(
            resolve([str(self.directory / "**" / "*.txt")]),
            [pathlib.Path(b), pathlib.Path(a)],
        )

    def test_a_name_may_have_brackets(self):
        path = self.write("a[1].txt", "a")
        self.write("a1.txt", "a")
        self.assertEqual(resolve([path]), [pathlib.Path(path)])

    def test_home(self):
        self.write("a.txt", "a")
        self.enter_context(
            unittest.mock.patch.dict(os.environ, HOME=str(self.directory))
        )
        self.assertEqual(resolve(["~/a.txt"]), [self.directory / "a.txt"])

    def test_standard_library(self):
        files = resolve([])
        names = {path.name for path in files}
        self.assertIn("argparse.py", names)
        self.assertIn("decoder.py", names)
        self.assertNotIn("test_argparse.py", names)
        parts = {part for path in files for part in path.parts}
        self.assertNoCommonElements(parts, {"site-packages", "idlelib"})
        self.assertEqual(files, resolve([]))
        for path in files:
            for _ in read_blocks(path, "characters"):
                pass

    def test_mistakes(self):
        self.write("some/text.txt", "a")
        empty = self.write("empty.txt", "")
        pipe = str(self.directory / "pipe")
        os.mkfifo(pipe)
        loop = self.directory / "loop"
        loop.symlink_to(loop)
        for pattern, message in [
            (str(self.directory / "none.txt"), "no file .*none.txt; give"),
            (str(self.directory / "some"), r"directory; .*some/\*\*/\*.txt"),
            (str(self.directory / "*.md"), "matches the pattern.*md"),
            (empty, "empty.txt is empty; give"),
            (pipe, "pipe is not a regular file"),
            (str(loop), "loop cannot be read .*; make it readable"),
        ]:
            with (
                self.subTest(pattern),
                self.assertRaisesRegex(UserError, message),
            ):
                resolve([pattern])

    @absltest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_no_permission(self):
        path = self.write("secret.txt", "abc")
        os.chmod(path, 0)
        with self.assertRaisesRegex(UserError, "secret.txt cannot be read"):
            self.build(path)


class ReadBlocksTest(TextFilesTestCase):
    @quick
    @hypothesis.given(strategies.text(), strategies.integers(1, 9))
    def test_no_result_depends_on_the_block_size(self, text, block_bytes):
        path = self.write("text", text)
        blocks = list(read_blocks(path, "characters", block_bytes))
        code_points = [c for block, _ in blocks for c in block.tolist()]
        self.assertEqual(code_points, [ord(c) for c in text])
        self.assertEqual(sum(n for _, n in blocks), len(text.encode()))

    @quick
    @hypothesis.given(
        strategies.text(max_size=9),
        strategies.binary(min_size=1, max_size=5),
        strategies.text(max_size=9),
        strategies.integers(1, 9),
    )
    def test_the_offset_of_what_is_not_utf8(self, before, bad, after, size):
        content = before.encode() + bad + after.encode()
        # These are told by name, without an offset.
        told = (*recognition._SIGNATURES, *recognition._BYTE_ORDER_MARKS)
        hypothesis.assume(not content.startswith(tuple(s for s, *_ in told)))
        try:
            content.decode()
            hypothesis.reject()
        except UnicodeDecodeError as error:
            offset = error.start
        path = self.write("text", content)
        with self.assertRaisesRegex(
            UserError,
            rf"text is not UTF-8 .* at byte offset {offset} "
            rf"\(0x{content[offset]:02x}\)\..* --vocabulary=bytes",
        ):
            list(read_blocks(path, "characters", size))
        blocks = [block.tobytes() for block, _ in read_blocks(path, "bytes")]
        self.assertEqual(b"".join(blocks), content)

    def test_a_file_that_ends_inside_of_a_character(self):
        first = self.write("first", "abcあ".encode()[:-1])
        second = self.write("second", "あ".encode()[-1:])
        for size in (1, 2, 5, 99):
            with self.assertRaisesRegex(UserError, "end of data .* offset 3 "):
                list(read_blocks(first, "characters", size))
        # The next file does not complete it.
        with self.assertRaisesRegex(UserError, "first is not UTF-8"):
            self.build(first, second)

    @quick
    @hypothesis.given(
        strategies.text(strategies.sampled_from("a\r\n\ufeffあ")),
        strategies.integers(1, 9),
        strategies.sampled_from(["characters", "bytes"]),
    )
    def test_normalized_newlines(self, text, block_bytes, kind):
        path = self.write("text", text)
        blocks = list(
            read_blocks(path, kind, block_bytes, normalize_newlines=True)
        )
        values = [value for block, _ in blocks for value in block.tolist()]
        # How Python itself reads such a file.
        expected = pathlib.Path(path).read_text(encoding="utf-8-sig")
        if kind == "bytes":
            expected = expected.encode().decode("latin-1")
        self.assertEqual("".join(map(chr, values)), expected)
        self.assertEqual(sum(n for _, n in blocks), len(text.encode()))


if __name__ == "__main__":
    absltest.main()
