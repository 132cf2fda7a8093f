"""Programs that refuse what users get wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from absl.testing import parameterized

from helpers.processes import program_runner
from helpers.processes.program_runner import PROGRAMS
from helpers.processes.program_runner import STARTED_TENSORFLOW
from helpers.processes.user_environment import user_environment

# Root may read and write everything, unless it gives that up.
_NO_OVERRIDE = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


def run(program, *arguments, cwd, restricted=False):
    """Runs a program of ours; `restricted` makes file modes count for root.

    It is a process of its own only if it has to be: restricted, or not refused
    before it starts TensorFlow.
    """
    if not restricted:
        result = program_runner.run(f"kerasrnn-{program}", *arguments, cwd=cwd)
        if result.status != STARTED_TENSORFLOW:
            return subprocess.CompletedProcess(
                arguments, result.status, result.output, result.errors
            )
    command = [
        sys.executable,
        "-m",
        PROGRAMS[f"kerasrnn-{program}"],
        *arguments,
    ]
    if restricted and os.geteuid() == 0:
        command = [*_NO_OVERRIDE, *command]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=user_environment(),
        stdin=subprocess.DEVNULL,
    )


class BadInputTestCase(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.create_tempdir().full_path)

    def assert_refused(self, result, pattern):
        """Checks that the program ended with one sentence, and no more."""
        self.assertRegex(result.stderr, rf"^error: .*{pattern}")
        self.assertNotIn("Traceback", result.stderr + result.stdout)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertEndsWith(result.stderr.rstrip(), ".")
        self.assertEqual(result.returncode, 1)

    def need_file_modes(self):
        """Skips where file modes mean nothing to us."""
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            self.skipTest("root reads everything, and there is no setpriv")
