"""How much the local server does at a time, and who waits for what.

Calls beyond a number are refused at once, as TensorFlow Serving refuses what
finds no thread; of the others some run, and the rest wait in the order in
which they came. Whoever is cancelled, or out of time, waits no longer.
"""

import collections
import contextlib
import os
import threading
import time

import grpc

from kerasrnn_serving.server.rpc import StatusError

# Calls that run at a time.
RUNNING = max(4 * (os.cpu_count() or 1), 16)


class Work:
    """Admits calls, and has some of them run at a time.

    Args:
        calls: Running and waiting, at most.
        running: Of these.
    """

    def __init__(self, calls: int, running: int):
        self._lock = threading.Lock()
        self._calls = calls
        self._free = list(range(running))
        self._waiting = collections.deque()

    @contextlib.contextmanager
    def turn(self, context: grpc.ServicerContext, seconds: float):
        """Waits for a turn; yields a number and the seconds that are left.

        No other running call has the number, from 0 below `running`.

        Args:
            context: Of the call: whether it is still wanted.
            seconds: That the call may take, waiting included.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, there are too many calls;
                DEADLINE_EXCEEDED or CANCELLED, it has waited in vain.
        """
        end = time.monotonic() + seconds
        waiter = self._enter()
        # Called at once where the call has ended already; then it is False.
        if not context.add_callback(waiter.event.set):
            waiter.event.set()
        waiter.event.wait(seconds)
        try:
            self._check(waiter, context)
            yield waiter.place, max(0.0, end - time.monotonic())
        finally:
            self._leave(waiter)

    def _enter(self):
        waiter = _Waiter()
        with self._lock:
            if self._calls == 0:
                raise StatusError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "Server Threadpool Exhausted",
                )
            self._calls -= 1
            self._waiting.append(waiter)
            self._give_turns()
        return waiter

    def _give_turns(self):
        while self._free and self._waiting:
            waiter = self._waiting.popleft()
            waiter.place = self._free.pop()
            waiter.event.set()

    def _check(self, waiter, context):
        if not context.is_active():
            raise StatusError(
                grpc.StatusCode.CANCELLED, "The call was cancelled."
            )
        if waiter.place is None:
            raise StatusError(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "Timed out waiting for calls before this one.",
            )

    def _leave(self, waiter):
        with self._lock:
            self._calls += 1
            if waiter.place is None:
                self._waiting.remove(waiter)
            else:
                self._free.append(waiter.place)
                self._give_turns()


class _Waiter:
    """A call: its place among the running ones, and when to look again."""

    def __init__(self):
        self.event = threading.Event()
        self.place = None
