"""A directory that takes the place of another one is there, or the other."""

import os
import pathlib
import shutil
import sys

from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.foundation.files import new_directory


class _Hook:
    """Calls a function where the process first renames something to a path.

    What Python reports cannot be listened to for a while only, so the hook
    stays and does nothing any more.
    """

    def __init__(self, target, function):
        self.waiting = {os.fspath(target): function}
        sys.addaudithook(self.notice)

    def notice(self, event, arguments):
        if event == "os.rename":
            function = self.waiting.pop(os.fspath(arguments[1]), None)
            if function is not None:
                function()


class NewDirectoryTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.target = pathlib.Path(self.create_tempdir().full_path) / "target"

    def write(self, text):
        with new_directory(self.target) as temporary:
            (temporary / "file").write_text(text)

    def found(self):
        return {
            path.relative_to(self.target.parent).as_posix(): path.read_text()
            for path in self.target.parent.rglob("*")
            if path.is_file()
        }

    def test_replaces_what_is_there(self):
        for text in ("old", "new"):
            self.write(text)
            self.assertEqual(self.found(), {"target/file": text})

    @parameterized.parameters(False, True)
    def test_an_exception_in_the_block_changes_nothing(self, exists):
        if exists:
            self.write("old")
        before = self.found()
        with self.assertRaises(KeyboardInterrupt):
            with new_directory(self.target) as temporary:
                (temporary / "file").write_text("new")
                raise KeyboardInterrupt
        self.assertEqual(self.found(), before)

    @parameterized.parameters(False, True)
    def test_a_name_that_is_refused_changes_nothing(self, exists):
        """What was prepared is gone at the moment that it is renamed."""
        if exists:
            self.write("old")
        before = self.found()
        with self.assertRaises(FileNotFoundError):
            with new_directory(self.target) as temporary:
                (temporary / "file").write_text("new")
                _Hook(self.target, lambda: shutil.rmtree(temporary))
        self.assertEqual(self.found(), before)


if __name__ == "__main__":
    absltest.main()
