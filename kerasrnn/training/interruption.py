"""Signals that end a training in order: a thread waits for them.

A handler of Python's runs only between two calls of TensorFlow, and a second
signal could not end a call that hangs. So SIGINT and SIGTERM are blocked in
all threads, and one thread takes them with `sigwait`.
"""

import os
import signal
import sys
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """Training ends because a signal asked for it.

    Attributes:
        signal: Its number.
    """

    def __init__(self, number: int):
        super().__init__(f"ended by signal {number}")
        self.signal = number


class Interruption:
    """Whether a signal has asked this process to end.

    Attributes:
        signal: The signal's number, or None.
    """

    def __init__(self):
        self.signal: int | None = None
        self._unsaved = threading.Event()

    def listen(self) -> None:
        """Starts to take SIGINT and SIGTERM, once, for the whole process.

        To be called before any other thread starts, as threads inherit
        which signals are blocked: before TensorFlow is imported.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        threading.Thread(target=self._wait, daemon=True).start()

    def check(self) -> None:
        """Raises `Interrupted` if a signal came."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def set_unsaved(self, unsaved: bool) -> None:
        """Says whether ending at once would lose steps.

        Where nothing would be lost, a signal ends the process at once,
        however long it has still to import, to read or to compile.
        """
        if unsaved:
            self._unsaved.set()
        else:
            self._unsaved.clear()

    def _wait(self):
        number = signal.sigwait(SIGNALS)
        if not self._unsaved.is_set():
            _end(number, "Ended; no step is lost.")
        self.signal = number
        _say("Saving a checkpoint before ending; again ends at once.")
        number = signal.sigwait(SIGNALS)
        _end(number, "Ended at once.")


def _say(text):
    # Not print: the main thread may hold the lock of the stream.
    os.write(sys.__stderr__.fileno(), f"\n{text}\n".encode())


def _end(number, text):
    if os.isatty(1):
        os.write(1, b"\x1b[?25h")  # The live display hides the cursor.
    _say(text)
    os._exit(128 + number)
