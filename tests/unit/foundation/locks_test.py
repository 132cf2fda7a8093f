"""Locks of directories: links, what stands in them, no flock."""

import contextlib
import subprocess
import sys
from pathlib import Path

from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources.repository import ROOT
from kerasrnn_export.release.publish import preparation

from kerasrnn.errors import UserError
from kerasrnn.training.checkpoints.workdir import locked

_SCRIPT = ROOT / "tests" / "helpers" / "processes" / "refused_calls.py"

# Who takes a lock in a directory, and the lock's name.
_HOLDERS = (
    ("kerasrnn_export.release.publish", preparation, ".lock"),
    ("kerasrnn.training.checkpoints.workdir", locked, "lock"),
)


class LocksTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.create_tempdir().full_path) / "directory"
        self.directory.mkdir()

    @parameterized.parameters(*_HOLDERS)
    def test_never_through_a_link(self, _, hold, name):
        precious = self.directory.parent / "precious"
        precious.write_text("mine")
        for target in (precious, self.directory.parent / "not_there"):
            (self.directory / name).symlink_to(target)
            with self.assertRaisesRegex(UserError, "symbolic link"):
                with hold(self.directory):
                    pass
            (self.directory / name).unlink()
        self.assertEqual(precious.read_text(), "mine")
        self.assertFalse((self.directory.parent / "not_there").exists())

    def test_an_export_s_lock_keeps_what_stands_in_it(self):
        (self.directory / ".lock").write_text("a note")
        with preparation(self.directory):
            pass
        self.assertEqual((self.directory / ".lock").read_text(), "a note")

    @parameterized.parameters(*_HOLDERS)
    def test_one_at_a_time(self, _, hold, name):
        with contextlib.ExitStack() as held:
            held.enter_context(hold(self.directory))
            with self.assertRaisesRegex(UserError, "Another"):
                held.enter_context(hold(self.directory))
        with hold(self.directory):
            self.assertTrue((self.directory / name).exists())

    @parameterized.parameters(*_HOLDERS)
    def test_a_file_system_without_locks_is_told(self, module, hold, name):
        result = subprocess.run(
            [sys.executable, _SCRIPT, module, hold.__name__, self.directory],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if "OSError" in result.stderr and "prctl" in result.stderr:
            self.skipTest("this kernel takes no filter of system calls")
        self.assertEqual(result.stderr, "")
        refused, message = result.stdout.splitlines()
        self.assertEqual(refused, "ENOLCK")
        self.assertStartsWith(
            message, f"Cannot lock {self.directory / name}: No locks"
        )


if __name__ == "__main__":
    absltest.main()
