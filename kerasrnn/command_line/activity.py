"""A line that shows what a program is at, where that takes a while."""

import os
import sys
import threading
import time
from typing import TextIO

# What is over sooner needs no line.
_SECONDS_UNSEEN = 2.0
_SECONDS_BETWEEN = 0.5
_START_OF_LINE, _ERASE = "\r", "\x1b[K"


class Activity:
    """Shows what a program is at; to be used in a `with` statement.

    From two seconds on there is a line on standard error with the share that
    is done, as far as it is known, and the seconds so far. It goes when the
    block ends. Where standard error is no terminal nothing is shown.

    Args:
        what: What the program is at.
        stream: Where to; standard error by default.
    """

    def __init__(self, what: str, stream: TextIO | None = None):
        self._stream = sys.stderr if stream is None else stream
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._share: float | None = None
        self.now(what)

    def now(self, what: str) -> None:
        """Says what the program is at from now on."""
        self._what, self._share = what, None
        self._started = time.monotonic()

    def share(self, share: float) -> None:
        """Says how much of it is done, from 0 to 1."""
        self._share = share

    def end(self) -> None:
        """Takes the line away, before the block ends."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self):
        if _is_terminal(self._stream):
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def _show(self):
        try:
            if self._ended.wait(_SECONDS_UNSEEN):
                return
            while not self._ended.wait(_SECONDS_BETWEEN):
                self._write(self._line())
            self._write("")
        except (OSError, ValueError):
            pass  # The terminal has gone.

    def _line(self):
        share = "" if self._share is None else f" {self._share:.0%},"
        seconds = time.monotonic() - self._started
        columns = os.get_terminal_size(self._stream.fileno()).columns
        # A full line would wrap, and could not be written over.
        line = f"{self._what} ...{share} {seconds:.0f} s"
        return line[: max(columns - 1, 0)] if columns else line

    def _write(self, line):
        self._stream.write(f"{_START_OF_LINE}{line}{_ERASE}")
        self._stream.flush()


def _is_terminal(stream):
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False  # Closed, or none.
