"""`kerasrnn-serve --page`: a server and its page, which end together."""

import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from absl.testing import absltest
from helpers.servers import fake_export


class PageOfServeTest(absltest.TestCase):
    def test_the_page_comes_and_goes_with_the_server(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        fake_export.publish(Path(folder), 1)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "kerasrnn_serving.programs.serve",
                "--server=local",
                f"--export_dir={folder}",
                fake_export.FLAG,
                "--port=0",
                "--page",
                "--page_port=0",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        for line in process.stderr:
            if match := re.search(r"(http://\S+)\n", line):
                break
        for line in process.stdout:
            if " at " in line:
                break
        with urllib.request.urlopen(match[1], timeout=60) as reply:
            self.assertIn(b"/page/page.js", reply.read())
        with urllib.request.urlopen(f"{match[1]}/readyz", timeout=60) as reply:
            self.assertEqual(reply.status, 200)
        # As it ends when nobody is left to tell it.
        process.send_signal(signal.SIGKILL)
        process.wait()
        end = time.monotonic() + 60
        # It refuses connections, or resets one of the last.
        with self.assertRaises(OSError):
            while time.monotonic() < end:
                urllib.request.urlopen(f"{match[1]}/healthz", timeout=60)


if __name__ == "__main__":
    absltest.main()
