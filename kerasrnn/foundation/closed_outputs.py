"""Standard output and error that may be closed during a run.

A reader ends (`| head`), a terminal is closed, a disk is full: output that
cannot be written ends no run, and delays no signal.
"""

import contextlib
import os
import select
import sys
from typing import IO
from typing import Any


class EnduringFile:
    """A text file that ignores that it cannot be written to.

    The first failure is reported on standard error; after it everything is
    dropped.

    Args:
        file: What to write to, or None; all other attributes are its own.
    """

    def __init__(self, file: IO[str] | None):
        self._file: Any = file
        self._is_lost = file is None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Writes it, if that is possible."""
        if not self._is_lost:
            try:
                self._file.write(text)
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Flushes what was written, if that is possible."""
        if not self._is_lost:
            try:
                self._file.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def _lose(self, error):
        self._is_lost = True
        if self._file in (sys.__stdout__, sys.__stderr__):
            # The interpreter's own last flush must not fail, either.
            silence(self._file)
        reason = getattr(error, "strerror", None) or error
        tell(
            f"The output cannot be written any more ({reason}). Training "
            "continues without it."
        )


def silence(file: IO[str]) -> None:
    """Discards what is written to a file, or waits in its buffer."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = file.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def has_lost_its_reader(file: IO[str]) -> bool:
    """Whether it is a pipe or a connection that nobody will read from."""
    try:
        poll = select.poll()
        poll.register(file.fileno(), 0)
        return bool(poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return True  # It is closed.


def tell(text: str) -> None:
    """Writes a line to standard error, if that is possible without waiting.

    It takes no lock, so that any thread may call it at any time.
    """
    _write(sys.__stderr__, f"{text}\n")


def show_cursor() -> None:
    """Makes the cursor visible that the live display of a terminal hides."""
    with contextlib.suppress(OSError, ValueError):
        if sys.__stdout__ and os.isatty(sys.__stdout__.fileno()):
            _write(sys.__stdout__, "\x1b[?25h")


def _write(file, text):
    # A closed stream is None, or has no descriptor.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = file.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        # Nobody may be reading: a full pipe would take this for ever.
        if poll.poll(0):
            os.write(descriptor, text.encode(errors="replace"))
