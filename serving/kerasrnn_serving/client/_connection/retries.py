"""Which failed calls are made once more, and how often at a stretch.

gRPC's own policy sees to what fails before a reply begins. A reply that breaks
off is asked for once more by the client, over a new connection, and so is one
whose connection turns out to be dead. A server that has no thread left is
asked again at the client's `Throttle`. All of it is safe since calls are pure
functions.
"""

import threading
import time

import grpc

from kerasrnn_serving.client._connection import failures
from kerasrnn_serving.client._connection.throttle import Throttle

# Repeats that may be had at a stretch; each success gives back a tenth.
_REPEATS = 10.0
_REPEAT_RATIO = 0.1


class Budget:
    """How many repeats all calls of a client may have; for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._repeats = _REPEATS

    @property
    def is_left(self) -> bool:
        """Whether a call may be repeated."""
        return self._repeats >= 1

    def spend(self) -> None:
        """Counts a repeat."""
        with self._lock:
            self._repeats = max(self._repeats - 1, 0)

    def earn(self) -> None:
        """Counts a call that was answered."""
        with self._lock:
            self._repeats = min(self._repeats + _REPEAT_RATIO, _REPEATS)


class Attempts:
    """The attempts of one call within its deadline.

    Args:
        seconds: Until the deadline.
        budget: Of the client.
        throttle: Of the client.
    """

    def __init__(self, seconds: float, budget: Budget, throttle: Throttle):
        self._end = time.monotonic() + seconds
        self._budget = budget
        self._throttle = throttle
        self._is_repeated = False
        self._began = 0.0

    def delay(self) -> float:
        """Returns the seconds to wait before asking again; 0 is to begin.

        Raises:
            grpc.RpcError: The server is overloaded, and was so until the
                deadline.
        """
        now = time.monotonic()
        left = self._end - now
        if left <= 0 and self._throttle.refusal is not None:
            self.stop_waiting()
            raise self._throttle.refusal
        return min(self._throttle.delay(self, now, left), max(left, 0))

    def stop_waiting(self) -> None:
        """Takes the call out of the client's queue."""
        self._throttle.leave(self)

    def begin(self) -> float:
        """Returns the seconds of the attempt that begins now."""
        self._began = time.monotonic()
        return max(self._end - self._began, 0)

    def succeeded(self) -> None:
        """Counts the attempt as answered."""
        self._budget.earn()
        self._throttle.quicken(time.monotonic() - self._began)

    def plan_another(self, error: grpc.RpcError) -> bool:
        """Decides whether there is another attempt after a failure."""
        now = time.monotonic()
        if failures.is_overload(error):
            much = not self._budget.is_left
            self._budget.spend()
            self._throttle.slow_down(error, self._began, now, much)
            return now < self._end
        if (
            self._is_repeated
            or not self._budget.is_left
            or not _is_worth_repeating(error)
        ):
            return False
        self._is_repeated = True
        self._budget.spend()
        return True


def _is_worth_repeating(error: grpc.RpcError) -> bool:
    # Where no connection came about, gRPC has tried as often as it should.
    return error.code() in failures.BROKEN_OFF and not failures.is_unreachable(
        error
    )
