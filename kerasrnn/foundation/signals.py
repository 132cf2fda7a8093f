"""Signals that end a training in order: a thread waits for them.

A handler of Python's runs only between two calls of TensorFlow, and a second
signal could not end a call that hangs. So SIGINT, SIGTERM and SIGHUP (a closed
terminal) are blocked in all threads, and one thread takes them with `sigwait`.
"""

import os
import signal
import threading
import time

from kerasrnn.errors import PicklableError
from kerasrnn.foundation import closed_outputs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# GNU timeout signals the process and then its group, and systemd sends SIGHUP
# after SIGTERM: what comes so soon is no second request.
_SECONDS_OF_ONE_REQUEST = 1.0


class Interrupted(PicklableError):
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
        self._workers = None
        self._is_shared = threading.Event()
        self._is_shared.set()
        self._ending: tuple[int, str] | None = None

    def listen(self) -> None:
        """Starts to take the signals, once, for the whole process.

        To be called before any other thread starts, as threads inherit
        which signals are blocked: before TensorFlow is imported. SIGHUP stays
        ignored where it was, as under `nohup`.
        """
        signals = set(SIGNALS)
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            signals.remove(signal.SIGHUP)
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        threading.Thread(
            target=self._wait, args=(signals,), daemon=True
        ).start()

    def wait_to_share(self) -> None:
        """Makes a signal wait for `share`: then there is whom to tell."""
        self._is_shared.clear()

    def share(self, workers) -> None:
        """Makes the first signal one to all workers.

        Args:
            workers: A `kerasrnn.training.multi_worker.signal_broadcast
                .SharedInterruption`.
        """
        self._workers = workers
        self._is_shared.set()

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

    def hear(self, number: int, ends: bool, task: str) -> None:
        """Does as another worker does, to which a signal came.

        Args:
            number: The signal's.
            ends: Whether that worker ends at once, and all others with it.
            task: Its name.
        """
        self._take(number, ends, f"The {task} received signal {number}. ")

    def end_if_ending(self) -> None:
        """Ends the process, if all workers have been told to end at once.

        For the case that this shows first by the end of another one.
        """
        if self._ending is not None:
            _end(*self._ending)

    def _wait(self, signals):
        number = signal.sigwait(signals)
        first = time.monotonic()
        ends = not self._unsaved.is_set()
        # To tell others may take a while, and a second signal does not wait.
        threading.Thread(
            target=self._tell, args=(number, ends), daemon=True
        ).start()
        while True:
            number = signal.sigwait(signals)
            if time.monotonic() - first > _SECONDS_OF_ONE_REQUEST:
                _end(number, "Ended at once.")

    def _tell(self, number, ends):
        self._is_shared.wait()
        # Otherwise another worker was first, and what it does is heard.
        if self._workers is None or self._workers.tell(number, ends):
            self._take(number, ends, "")

    def _take(self, number, ends, cause):
        if not ends:
            self.signal = number
            # That of another worker is none here yet: the next is the first.
            again = "" if cause else "; again ends at once"
            closed_outputs.tell(
                f"\n{cause}Saving a checkpoint before ending{again}."
            )
            return
        self._ending = (number, f"{cause}Ended; no step is lost.")
        if self._workers is not None:
            self._workers.meet()
        self.end_if_ending()


def _end(number, text):
    closed_outputs.show_cursor()
    closed_outputs.tell(f"\n{text}")
    os._exit(128 + number)
