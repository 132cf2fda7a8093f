"""`kerasrnn-serve --page`: a server and its page, which end together."""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from absl.testing import absltest
from helpers.servers import fake_export


def _has(host, family):
    """Whether it is an address of this machine."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


class PageOfServeTest(absltest.TestCase):
    def _serve(self, *flags):
        """Returns the process, and the page's address."""
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
                *flags,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for line in process.stderr:
            if match := re.search(r"(http://\S+)\n", line):
                break
        for line in process.stdout:
            if " at " in line:
                break
        return process, match[1]

    def _check_ready(self, page):
        with urllib.request.urlopen(f"{page}/readyz", timeout=60) as reply:
            self.assertEqual(reply.status, 200)

    def test_the_page_comes_and_goes_with_the_server(self):
        process, page = self._serve()
        with urllib.request.urlopen(page, timeout=60) as reply:
            self.assertIn(b"/page/page.js", reply.read())
        self._check_ready(page)
        # As it ends when nobody is left to tell it.
        process.send_signal(signal.SIGKILL)
        process.wait()
        end = time.monotonic() + 60
        # It refuses connections, or resets one of the last.
        with self.assertRaises(OSError):
            while time.monotonic() < end:
                urllib.request.urlopen(f"{page}/healthz", timeout=60)

    @unittest.skipUnless(
        _has("127.0.0.2", socket.AF_INET), "no other loopback address"
    )
    def test_a_server_at_another_address(self):
        self._check_ready(self._serve("--host=127.0.0.2")[1])

    @unittest.skipUnless(_has("::1", socket.AF_INET6), "no IPv6")
    def test_a_server_at_an_address_of_ipv6(self):
        self._check_ready(self._serve("--host=::1")[1])


if __name__ == "__main__":
    absltest.main()
