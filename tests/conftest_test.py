"""What conftest.py sees to: a test that hangs fails, and says where."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from absl.testing import absltest

_TIMEOUT = 120
_HANGING = """
import threading


def test_that_waits_for_nothing():
    threading.Event().wait()
"""


class HangingTest(absltest.TestCase):
    def test_a_test_without_end_fails(self):
        folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        conftest = Path(__file__).absolute().parent / "conftest.py"
        (folder / "conftest.py").write_text(conftest.read_text())
        (folder / "hanging_test.py").write_text(_HANGING)
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", folder],
            env={**os.environ, "KERASRNN_TEST_SECONDS": "1"},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("test_that_waits_for_nothing", result.stderr)


if __name__ == "__main__":
    absltest.main()
