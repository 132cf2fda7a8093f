"""Publishing on a file system that is full, read-only or broken says so."""

import errno
import os
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized
from helpers.full_counts import FULL
from helpers.sources.repository import program_environment

# All but EINTR, after which Python calls again; in the short form some.
_ERRORS = sorted(errno.errorcode.keys() - {errno.EINTR})
_ERRORS = _ERRORS if FULL else _ERRORS[3::19]

# Publishes one version, then says what is there.
PUBLISHER = """
import os
import sys
from pathlib import Path
from helpers.exports.published_files import publish_one
from kerasrnn.errors import UserError
try:
    publish_one(Path(sys.argv[1]))
    print("published")
except UserError as error:
    print(error)
print(*sorted(os.listdir(sys.argv[1])))
"""

# The same, where the kernel refuses to sync from an event on: that of the
# permissions of what was prepared, or that of the name that it is given.
FAILING = """
import sys
from helpers.processes.refused_calls import refuse

def hook(event, arguments):
    if event == sys.argv[3]:
        refuse("fsync", int(sys.argv[2]))

sys.addaudithook(hook)
"""


class FileSystemTest(absltest.TestCase):
    """Real file systems that refuse: in a name space of the test's own."""

    def setUp(self):
        super().setUp()
        self.directory = self.create_tempdir().full_path
        probe = self._mounted("size=64k", ["true"])
        if probe.returncode:
            self.skipTest(f"nothing can be mounted here: {probe.stderr}")

    def _mounted(self, options, command):
        """Runs a command where a file system lies over the directory."""
        mount = 'mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@"'
        return subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount, "sh", options]
            + [self.directory, *command],
            env=program_environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def _publish(self, options):
        return self._mounted(
            options, [sys.executable, "-c", PUBLISHER, self.directory]
        )

    def test_a_file_system_that_has_room_is_published_on(self):
        run = self._publish("size=64k")
        self.assertEqual(run.stdout, "published\n.lock 1\n", run.stderr)

    def test_a_full_file_system_is_told_and_left_as_it_was(self):
        run = self._publish("size=16k")
        self.assertRegex(run.stdout, "^Cannot export into .*: the disk is full")
        self.assertRegex(run.stdout, "Nothing was published.\n.lock\n$")

    def test_a_read_only_file_system_is_told(self):
        run = self._publish("ro")
        self.assertRegex(run.stdout, "not writable .Read-only file system")
        self.assertEndsWith(run.stdout, "Nothing was published.\n\n")


class SyncTest(parameterized.TestCase):
    def _publish(self, directory, number, event):
        """Returns the message and the names that the publisher prints."""
        run = subprocess.run(
            [sys.executable, "-c", FAILING + PUBLISHER]
            + [directory, str(number), event],
            env=program_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if "prctl" in run.stderr:
            self.skipTest("this kernel takes no filter of system calls")
        self.assertEqual(run.stderr, "")
        return run.stdout.splitlines()

    @parameterized.parameters(*_ERRORS)
    def test_whatever_the_disk_answers_is_told(self, number):
        directory = self.create_tempdir().full_path
        message, names = self._publish(directory, number, "os.chmod")
        self.assertEqual(names, ".lock")
        self.assertStartsWith(message, f"Cannot export into {directory}: ")
        self.assertIn(os.strerror(number), message)
        self.assertEndsWith(message, " Nothing was published.")

    @parameterized.parameters(errno.EIO, errno.ENOSPC, errno.EROFS)
    def test_a_version_that_is_there_is_called_published(self, number):
        directory = self.create_tempdir().full_path
        message, names = self._publish(directory, number, "os.rename")
        self.assertEqual(names, ".lock 1")
        self.assertStartsWith(message, f"{directory}/1 was published, but ")
        self.assertIn(f"({os.strerror(number)})", message)
        self.assertNotIn("Nothing was published", message)


if __name__ == "__main__":
    absltest.main()
