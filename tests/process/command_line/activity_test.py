"""Tests of the line that shows what a program is at, on a real terminal."""

import contextlib
import fcntl
import io
import os
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from pathlib import Path
from unittest import mock

from absl.testing import absltest
from helpers.servers.fake_servable import FakeServer

from kerasrnn.command_line.activity import Activity

_ERASED = b"\x1b[K\r\x1b[K"
_SECONDS = 120


class Terminal:
    """A pseudo-terminal, and what was written to it."""

    def __init__(self, columns):
        self.master, self.slave = os.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
        self.written = b""

    def read_to(self, end):
        """Reads until what was written holds `end`."""
        while end not in self.written:
            if not self.is_ready(_SECONDS):
                raise AssertionError(f"{end} never came: {self.written}")
            self.written += os.read(self.master, 4096)

    def is_ready(self, seconds):
        """Whether something can be read, or will be in so many seconds."""
        return bool(select.select([self.master], [], [], seconds)[0])

    def close(self):
        os.close(self.master)
        with contextlib.suppress(OSError):
            os.close(self.slave)


class ActivityTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.enter_context(mock.patch.dict(os.environ, TERM="xterm"))
        self.terminal = Terminal(columns=40)
        self.addCleanup(self.terminal.close)
        self.stream = self.enter_context(
            open(self.terminal.slave, "w", closefd=False)
        )

    def test_a_line_that_is_written_over_and_goes(self):
        nowhere = io.StringIO()
        with (
            Activity("Reading it", self.stream) as activity,
            Activity("Reading it", nowhere),
        ):
            activity.share(0.25)
            self.terminal.read_to(b"\rReading it ... 25%, ")
            activity.share(0.5)
            self.terminal.read_to(b"\rReading it ... 50%, ")
            activity.now("Something else that has quite a long name")
            self.terminal.read_to(b"\rSomething else that has quite a long na")
        self.terminal.read_to(b"na" + _ERASED)
        self.assertEndsWith(self.terminal.written, _ERASED)
        self.assertNotIn(b"\n", self.terminal.written)
        self.assertEqual(nowhere.getvalue(), "")

    def test_what_is_over_soon_is_not_shown(self):
        with Activity("Reading", self.stream) as activity:
            activity.share(0.5)
        self.assertFalse(self.terminal.is_ready(0))

    def test_it_may_end_early(self):
        with Activity("Reading", self.stream) as activity:
            activity.end()
            print("text", file=self.stream, flush=True)
            self.terminal.read_to(b"text")
            activity.share(1)
        self.assertStartsWith(self.terminal.written, b"text")

    def test_streams_that_are_closed_or_none(self):
        closed = open(os.devnull, "w")
        closed.close()
        for stream in (closed, io.BytesIO()):
            with Activity("Reading", stream) as activity:
                activity.share(0.5)


class ProgramTest(absltest.TestCase):
    def test_long_texts_are_shown_in_a_terminal(self):
        folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        (folder / "export").mkdir()
        server = FakeServer(folder / "export")
        self.addCleanup(server.stop)
        text = folder / "long.txt"
        text.write_text("ab\n" * 4096)  # three pieces
        for flag, what in (
            ("--score", f"Scoring {text}"),
            ("--prompt_file", "Reading the prompt"),
        ):
            with self.subTest(flag):
                self.assert_shown(server, f"{flag}={text}", f"{what} ... 33%, ")

    def assert_shown(self, server, argument, line):
        """Has the server wait after one piece until the line is seen."""
        servable = server.loaded[1]
        predict, seen = type(servable).predict, threading.Event()
        self.addCleanup(seen.set)
        servable.requests.clear()

        def held(request, call=None):
            if servable.requests:
                seen.wait(_SECONDS)
            return predict(servable, request, call)

        servable.predict = held
        terminal = Terminal(columns=200)
        self.addCleanup(terminal.close)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "kerasrnn_serving.programs.query",
                f"--server={server.target}",
                "--seed=1",
                argument,
            ],
            stdout=subprocess.PIPE,
            stderr=terminal.slave,
            env={**os.environ, "TERM": "xterm"},
        )
        terminal.read_to(line.encode())
        seen.set()
        output, _ = process.communicate(timeout=_SECONDS)
        self.assertEqual(process.returncode, 0)
        self.assertNotEmpty(output)
        terminal.read_to(_ERASED)


if __name__ == "__main__":
    absltest.main()
