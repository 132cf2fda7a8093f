"""Tests of kerasrnn.text.corpus, sources, encoding and splits."""

import dataclasses
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import unittest.mock

import hypothesis
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.corpus import resolve
from kerasrnn.text.encoding import count_unknown
from kerasrnn.text.encoding import encode_file
from kerasrnn.text.sources import BLOCK_BYTES
from kerasrnn.text.sources import read_blocks
from kerasrnn.text.splits import SPLIT_NAMES
from kerasrnn.text.splits import split_ranges
from kerasrnn.text.vocabulary import Vocabulary

quick = hypothesis.settings(deadline=None, max_examples=100)

# More than two blocks, which end inside of three-byte characters.
LONG_TEXT = "Öaあ漢\r\n\U0001f600" * (BLOCK_BYTES // 7)


class TemporaryDirectoryTest(parameterized.TestCase):
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


class ResolveTest(TemporaryDirectoryTest):
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


class ReadBlocksTest(TemporaryDirectoryTest):
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
        hypothesis.assume(
            not content.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b"))
        )
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


class BuildTest(TemporaryDirectoryTest):
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


class ReuseTest(TemporaryDirectoryTest):
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


class NothingIsLostTest(TemporaryDirectoryTest):
    def setUp(self):
        super().setUp()
        self.old = self.build(self.write("old.txt", "the old text"))
        self.files = set(os.listdir(self.old.directory))

    def assert_old_is_whole(self):
        corpus = Corpus(self.old.directory)
        corpus.verify()
        self.assertEqual(corpus.vocabulary.decode(corpus.ids), "the old text")

    def test_bad_text(self):
        path = self.write("new.txt", LONG_TEXT.encode() + b"\xff")
        with self.assertRaisesRegex(
            UserError, f"offset {len(LONG_TEXT.encode())} "
        ):
            self.build(path)
        with self.assertRaises(UserError):
            self.build(path, vocabulary=Vocabulary.from_text("a"))
        self.assert_old_is_whole()
        self.assertEqual(set(os.listdir(self.old.directory)), self.files)

    def test_interrupt(self):
        def progress(done, total, what):
            if what == "encoding":
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.build(self.write("new.txt", LONG_TEXT), progress=progress)
        self.assert_old_is_whole()
        self.assertEqual(set(os.listdir(self.old.directory)), self.files)

    def test_text_that_changes_meanwhile(self):
        path = self.write("new.txt", LONG_TEXT)

        def progress(done, total, what):
            if what == "encoding" and done == total:
                with open(path, "ab") as file:
                    file.write(b"more")

        with self.assertRaisesRegex(UserError, "changed while it was read"):
            self.build(path, progress=progress)
        self.assert_old_is_whole()

    def run_build(self, before, progress):
        """Builds the long text in a process of its own."""
        script = f"""
            import os, resource, signal, sys
            from kerasrnn.config import DataConfig
            from kerasrnn.errors import UserError
            from kerasrnn.text.corpus import build_corpus

            {before}
            def progress(done, total, what):
                {progress}

            try:
                build_corpus(DataConfig(data=(sys.argv[1],)), sys.argv[2],
                             progress=progress)
            except UserError as error:
                sys.exit(str(error))
        """
        return subprocess.run(
            [
                sys.executable,
                "-c",
                textwrap.dedent(script),
                self.write("new.txt", LONG_TEXT),
                str(self.old.directory),
            ],
            capture_output=True,
            text=True,
        )

    def test_kill(self):
        result = self.run_build(
            "",
            "if what == 'encoding': os.kill(os.getpid(), signal.SIGKILL)",
        )
        self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
        self.assert_old_is_whole()
        new = self.build(self.write("new.txt", LONG_TEXT))
        self.assertEqual(new.vocabulary.decode(new.ids), LONG_TEXT)
        self.assertLen(os.listdir(new.directory), 2)

    def test_no_space(self):
        result = self.run_build(
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))", "pass"
        )
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"\AThe text cannot be encoded")
        self.assertNotIn("Traceback", result.stderr)
        self.assert_old_is_whole()
        self.assertEqual(set(os.listdir(self.old.directory)), self.files)


class SplitTest(parameterized.TestCase):
    @quick
    @hypothesis.given(
        strategies.integers(400, 10_000),
        strategies.sampled_from(["tail", "interleaved"]),
        strategies.integers(1, 20),
        strategies.integers(1, 20),
        strategies.floats(0, 0.49),
        strategies.floats(0, 0.49),
    )
    def test_disjoint_ordered_and_complete(
        self, length, split, pieces, multiple, validation, test
    ):
        config = DataConfig(
            split=split,
            split_streams=pieces,
            validation_fraction=validation,
            test_fraction=test,
        )
        ranges = {
            name: split_ranges(length, config, name, multiple)
            for name in SPLIT_NAMES
        }
        everything = sorted(sum(ranges.values(), []))
        position = 0
        for start, stop in everything:
            self.assertEqual(start, position)
            self.assertLess(start, stop)
            position = stop
        self.assertEqual(position, length)
        for name, fraction in [
            ("train", 1 - validation - test),
            ("validation", validation),
            ("test", test),
        ]:
            self.assertEqual(ranges[name], sorted(ranges[name]))
            size = sum(stop - start for start, stop in ranges[name])
            rounding = 1 if split == "tail" else 3 * pieces * multiple
            self.assertAlmostEqual(size, fraction * length, delta=rounding + 1)

    @parameterized.parameters(
        # char-rnn: loader of tinyshakespeare, batches of 50 x 50.
        ("interleaved", 0.05, 0, 50, 423 * 2500, 23 * 2500 + 394, 0),
        # nanoGPT: data[: int(0.9 * n)] and the rest.
        ("tail", 0.1, 0, 1, 1_003_854, 111_540, 0),
        # torch-rnn: int(0.1 * n) each, training the rest.
        ("tail", 0.1, 0.1, 1, 892_316, 111_539, 111_539),
    )
    def test_sizes_are_those_of_the_programs(
        self, split, validation, test, multiple, *sizes
    ):
        config = DataConfig(
            split=split, validation_fraction=validation, test_fraction=test
        )
        for name, size in zip(SPLIT_NAMES, sizes, strict=True):
            ranges = split_ranges(1_115_394, config, name, multiple)
            self.assertEqual(sum(b - a for a, b in ranges), size)

    def test_fractions_are_decimals(self):
        # As a binary number, 0.3 is less than three tenths.
        config = DataConfig(validation_fraction=0.3, test_fraction=0.3)
        self.assertEqual(split_ranges(10, config, "train"), [(0, 4)])
        self.assertEqual(split_ranges(10, config, "validation"), [(4, 7)])
        self.assertEqual(split_ranges(10, config, "test"), [(7, 10)])

    def test_mistakes(self):
        config = DataConfig(split="interleaved", split_streams=50)
        with self.assertRaisesRegex(UserError, "one of train.*'all'"):
            split_ranges(1000, config, "all")
        with self.assertRaisesRegex(UserError, "--split_streams=40 or less"):
            split_ranges(1000, config, "train", multiple=25)
        fitting = dataclasses.replace(config, split_streams=40)
        self.assertLen(split_ranges(1000, fitting, "validation", 25), 40)


if __name__ == "__main__":
    absltest.main()
