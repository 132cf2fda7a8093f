"""Which failed calls are made once more, and how often at a stretch.

gRPC's own policy sees to what fails before a reply begins. A reply that
breaks off or stalls is asked for once more by the client, which is safe since
all calls are pure functions.
"""

import threading
import time

import grpc

# Repeats that may be had at a stretch; each success gives back a tenth.
_REPEATS = 10.0
_REPEAT_RATIO = 0.1
# What gRPC says of a connection that broke.
_SIGNS_OF_A_LOST_CONNECTION = (
    "broken pipe",
    "closed",
    "goaway",
    "reset",
    "rst_stream",
    "stream removed",
)
_BROKEN_OFF = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
)


class Budget:
    """How many repeats all calls of a client may have; for many threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._repeats = _REPEATS

    @property
    def is_left(self) -> bool:
        """Whether a call may be repeated."""
        return self._repeats >= 1

    def spend(self) -> None:
        """Counts a repeat."""
        with self._lock:
            self._repeats -= 1

    def earn(self) -> None:
        """Counts a call that was answered."""
        with self._lock:
            self._repeats = min(self._repeats + _REPEAT_RATIO, _REPEATS)


class Attempts:
    """The attempts of one call, two at most, within its deadline.

    Args:
        seconds: Until the deadline.
        budget: Of the client.
    """

    def __init__(self, seconds: float, budget: Budget):
        self._end = time.monotonic() + seconds
        self._budget = budget
        self._is_last = False

    def begin(self) -> float:
        """Returns the seconds of the attempt that begins now."""
        left = max(self._end - time.monotonic(), 0)
        self._is_last = self._is_last or not self._budget.is_left
        # Half of the time is kept for a second attempt.
        return left if self._is_last else left / 2

    def goes_on(self, error: grpc.RpcError) -> bool:
        """Whether there is another attempt after this failure."""
        if self._is_last or not _is_worth_repeating(error):
            return False
        self._is_last = True
        self._budget.spend()
        return True


def lost_connection(error: grpc.RpcError) -> bool:
    """Whether the connection, not the server, is what failed the call.

    gRPC connects again by itself, but a call that is sent right after a
    break may still go out over what is broken.
    """
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return True
    details = (error.details() or "").lower()
    return any(sign in details for sign in _SIGNS_OF_A_LOST_CONNECTION)


def _is_worth_repeating(error):
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return True
    if code not in _BROKEN_OFF:
        return False
    # Where no connection came about, gRPC has tried as often as it should.
    return not (
        code == grpc.StatusCode.UNAVAILABLE
        and "connect" in details.lower()
        and "reset" not in details.lower()
    )
