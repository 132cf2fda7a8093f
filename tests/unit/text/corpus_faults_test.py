"""A corpus that cannot be made costs nothing of the one that was there."""

import os
import signal
import subprocess
import sys
import textwrap

from absl.testing import absltest
from helpers.models.text_files import LONG_TEXT
from helpers.models.text_files import TextFilesTestCase

from kerasrnn.errors import UserError
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.vocabulary import Vocabulary


class NothingIsLostTest(TextFilesTestCase):
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
        # Where files are limited, coverage could not write its own, and would
        # say so.
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("COVERAGE_")
        }
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
            env=environment,
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


if __name__ == "__main__":
    absltest.main()
