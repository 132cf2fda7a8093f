"""Functions that are called at their times, all by one thread."""

import contextlib
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator

# Of a wait: some systems allow no longer ones.
_MAX_SECONDS = 3600.0


class Deadlines:
    """Has the thread; a timer of its own for each call would cost more."""

    def __init__(self):
        self._changed = threading.Condition()
        # What to call and when, by a key that is nobody else's.
        self._entries = {}
        self._next = 0.0
        self._is_closed = False
        threading.Thread(
            target=self._work, name="deadlines", daemon=True
        ).start()

    @contextlib.contextmanager
    def watch(
        self, function: Callable[[], None], seconds: float
    ) -> Iterator[None]:
        """Calls the function after so many seconds, unless the block ends."""
        key, end = object(), time.monotonic() + seconds
        with self._changed:
            self._entries[key] = (end, function)
            if end < self._next:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._entries.pop(key, None)

    def _work(self):
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                for key, (end, function) in list(self._entries.items()):
                    if end <= now:
                        del self._entries[key]
                        function()
                ends = [end for end, _ in self._entries.values()]
                self._next = min([now + _MAX_SECONDS, *ends])
                self._changed.wait(self._next - now)

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
