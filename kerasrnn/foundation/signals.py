"""Signals that end a run in an orderly way: a thread waits for them.

A Python signal handler runs only between two calls of TensorFlow, and a second
signal could not end a call that hangs. So SIGINT, SIGTERM and SIGHUP (a closed
terminal) are blocked in all threads, and one thread takes them with `sigwait`.

Only a program may do so: a process that others write, such as a notebook's,
has its threads already. There a handler takes SIGINT while a call trains.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from kerasrnn.errors import PicklableError
from kerasrnn.foundation import closed_outputs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# GNU timeout signals the process and then its group, and systemd sends SIGHUP
# after SIGTERM: a signal that follows so soon is not a second request.
_SECONDS_OF_ONE_REQUEST = 1.0


class Interrupted(PicklableError):
    """A run ends because a signal asked for it.

    Attributes:
        signal: The signal's number.
    """

    def __init__(self, number: int):
        super().__init__(f"ended by signal {number}")
        self.signal = number


class Broadcast(Protocol):
    """How a signal to one of several workers reaches the others."""

    def tell(self, number: int, ends: bool) -> bool:
        """Tells the other workers; whether no other one did so before."""

    def meet(self) -> None:
        """Returns when all workers have been told."""


class Interruption:
    """Whether a signal has asked this process to end.

    Attributes:
        signal: The signal's number, or None.
    """

    def __init__(self):
        self.signal: int | None = None
        self._unsaved = threading.Event()
        self._broadcast: Broadcast | None = None
        self._can_tell = threading.Event()
        self._can_tell.set()
        self._ending: tuple[int, str] | None = None
        self._first_time = 0.0

    def listen(self) -> None:
        """Starts to take the signals, once, for the whole process.

        Call it before any other thread starts, as threads inherit which
        signals are blocked: before TensorFlow is imported. SIGHUP stays
        ignored where it was, as under `nohup`.
        """
        signals = set(SIGNALS)
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            signals.remove(signal.SIGHUP)
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        threading.Thread(
            target=self._wait, args=(signals,), daemon=True
        ).start()

    def expect_broadcast(self) -> None:
        """Makes a signal wait for `use_broadcast`: others must be told."""
        self._can_tell.clear()

    def use_broadcast(self, broadcast: Broadcast) -> None:
        """Makes the first signal to this worker a signal to all workers."""
        self._broadcast = broadcast
        self._can_tell.set()

    def check(self) -> None:
        """Raises `Interrupted` if a signal came."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def set_unsaved(self, unsaved: bool) -> None:
        """Says whether ending at once would lose steps.

        If nothing would be lost, a signal ends the process at once, however
        long it still has to import, to read or to compile.
        """
        if unsaved:
            self._unsaved.set()
        else:
            self._unsaved.clear()

    def receive(self, number: int, ends: bool, task: str) -> None:
        """Does what another worker does, which received a signal.

        Args:
            number: The signal's.
            ends: Whether that worker ends at once, and all others with it.
            task: The worker's name.
        """
        self._take(number, ends, f"The {task} received signal {number}. ")

    def end_if_ending(self) -> None:
        """Ends the process if all workers have been told to end at once.

        Call it when another worker seems lost: it may just have ended first.
        """
        if self._ending is not None:
            _end(*self._ending)

    def handle(self, number: int, frame: object) -> None:
        """Takes a signal in the main thread, as its handler.

        Raises:
            KeyboardInterrupt: Nothing would be lost, or it is a second signal.
        """
        del frame
        if self.signal is None and self._unsaved.is_set():
            self._first_time = time.monotonic()
            self._take(number, False, "")
        elif self.signal is None or self._is_second():
            # Wherever this ends the block, no handler is left behind.
            signal.signal(number, signal.default_int_handler)
            raise KeyboardInterrupt

    def _is_second(self):
        return time.monotonic() - self._first_time > _SECONDS_OF_ONE_REQUEST

    def _wait(self, signals):
        number = signal.sigwait(signals)
        self._first_time = time.monotonic()
        ends = not self._unsaved.is_set()
        # Telling the others may take a while; a second signal does not wait.
        threading.Thread(
            target=self._tell, args=(number, ends), daemon=True
        ).start()
        while True:
            number = signal.sigwait(signals)
            if self._is_second():
                _end(number, "Ended at once.")

    def _tell(self, number, ends):
        self._can_tell.wait()
        # If another worker was first, its signal is received and counts.
        if self._broadcast is None or self._broadcast.tell(number, ends):
            self._take(number, ends, "")

    def _take(self, number, ends, cause):
        if not ends:
            self.signal = number
            # Another worker's signal is not one of this process: here the
            # next one is the first.
            again = "" if cause else "; a second signal exits at once"
            closed_outputs.tell(
                f"\n{cause}Saving a checkpoint before exiting{again}."
            )
            return
        self._ending = (number, f"{cause}Ended; no step is lost.")
        if self._broadcast is not None:
            self._broadcast.meet()
        self.end_if_ending()


def _end(number, text):
    closed_outputs.show_cursor()
    closed_outputs.tell(f"\n{text}")
    os._exit(128 + number)


@contextlib.contextmanager
def interruption_by_keyboard() -> Iterator[Interruption]:
    """Makes Ctrl-C wait for the end of the block, if something is unsaved.

    Python would raise KeyboardInterrupt anywhere, in the middle of a step for
    instance, and what is half changed cannot be saved. In a thread that
    takes no signals, or where somebody else handles SIGINT, nothing changes.

    Yields:
        An interruption that the block asks whether to end.

    Raises:
        KeyboardInterrupt: A signal came: when the block has ended, or at
            once (see `Interruption.handle`).
    """
    interruption = Interruption()
    default = signal.default_int_handler
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not default
    ):
        yield interruption
        return
    signal.signal(signal.SIGINT, interruption.handle)
    try:
        yield interruption
    except Interrupted:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, default)
    if interruption.signal is not None:
        raise KeyboardInterrupt


class StopSignals:
    """Turns SIGTERM and SIGINT into something to wait for."""

    def __init__(self):
        # A handler may run anywhere; a pipe is all that it touches.
        self._read, self._write = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os.write(self._write, b"."))

    def wait(self) -> None:
        """Waits for the next one."""
        os.read(self._read, 1)
