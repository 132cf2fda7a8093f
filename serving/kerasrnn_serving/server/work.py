"""How much the local server does at a time, and when a call's work ends.

Calls beyond a limit are refused at once, as TensorFlow Serving refuses calls
that find no thread. Of the others, some run and the rest wait in order of
arrival. A call that is cancelled or out of time stops waiting, and its
computation is told to stop.
"""

import collections
import contextlib
import os
import threading
from collections.abc import Callable
from collections.abc import Iterator

import grpc

from kerasrnn_serving.server.rpc import Deadlines
from kerasrnn_serving.server.rpc import StatusError

# Calls that run at a time, or wait to be merged: while a batch of single rows
# runs, the next one gathers.
RUNNING = max(4 * (os.cpu_count() or 1), 64)


class Call:
    """A call that waits for its turn or runs, unless it was ended.

    Attributes:
        has_turn: Whether it may run.
        error: A `StatusError` that says why it was ended; None, it was not.
    """

    def __init__(self):
        self.has_turn = False
        self.error = None
        self._lock = threading.Lock()
        self._listeners = []
        self._decided = threading.Event()

    def on_end(self, function: Callable[[], None]) -> None:
        """Has `function` called when the call is ended; at once if it was."""
        with self._lock:
            if self.error is None:
                self._listeners.append(function)
                return
        function()

    def cancel(self) -> None:
        """Ends it: its client waits no longer."""
        self._end(grpc.StatusCode.CANCELLED, "The call was cancelled.")

    def expire(self) -> None:
        """Ends it: its time is up."""
        message = "Timed out waiting for calls before this one."
        if self.has_turn:
            # In the runtime's words.
            message = "Timed out waiting for notification"
        self._end(grpc.StatusCode.DEADLINE_EXCEEDED, message)

    def _end(self, code, message):
        with self._lock:
            if self.error is not None:
                return
            self.error = StatusError(code, message)
            listeners = self._listeners
        self._decided.set()
        for function in listeners:
            function()

    def give_turn(self) -> None:
        """Lets it run."""
        self.has_turn = True
        self._decided.set()

    def wait(self) -> None:
        """Waits until it may run.

        Raises:
            StatusError: It was ended before.
        """
        self._decided.wait()
        if self.error is not None:
            raise self.error


class Work:
    """Admits calls, and has some of them run at a time.

    Args:
        calls: Running and waiting, at most.
        running: Of these.
        deadlines: Calls what ends a call that is out of time.
    """

    def __init__(self, calls: int, running: int, deadlines: Deadlines):
        self._lock = threading.Lock()
        self._calls = calls
        self._free = running
        self._waiting: collections.deque[Call] = collections.deque()
        self._deadlines = deadlines

    @contextlib.contextmanager
    def turn(
        self, context: grpc.ServicerContext, seconds: float
    ) -> Iterator[Call]:
        """Waits for a turn; yields the `Call`.

        Args:
            context: Of the call, which ends it when nobody waits for it.
            seconds: That the call may take, waiting included.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, there are too many calls;
                DEADLINE_EXCEEDED or CANCELLED, it has waited in vain.
        """
        call = self._enter()
        try:
            # False where it has ended already.
            if not context.add_callback(call.cancel):
                call.cancel()
            with self._deadlines.watch(call.expire, seconds):
                call.wait()
                yield call
        finally:
            self._leave(call)

    def _enter(self):
        call = Call()
        with self._lock:
            if self._calls == 0:
                raise StatusError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "Server Threadpool Exhausted",
                )
            self._calls -= 1
            self._waiting.append(call)
            self._give_turns()
        return call

    def _give_turns(self):
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().give_turn()

    def _leave(self, call):
        with self._lock:
            self._calls += 1
            if call.has_turn:
                self._free += 1
                self._give_turns()
            else:
                self._waiting.remove(call)
