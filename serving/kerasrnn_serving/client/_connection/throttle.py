"""Slows a client's calls down while the server is overloaded.

A server that has a call for each of its threads refuses more of them. All the
client's attempts, first ones too, then queue here and begin one after the
other. The time between two is doubled by a refusal and shortened by 7 % by an
answer, so it settles where about one attempt in ten is refused, whether the
clients that share the server are threads of one process or on many machines.
"""

import collections
import random
import threading

import grpc

# Of a call, until one has been answered.
_TYPICAL_SECONDS = 0.1
# Between two attempts, where a call takes one second: as after the first
# refusal, and at most. With so many clients for each thread of the server the
# last would still be enough.
_FIRST_INTERVAL = 1 / 8
_LONGEST_INTERVAL = 32
# Below this there is no overload left to speak of.
_SHORTEST_INTERVAL = 1 / 64
_SLOWER = 2.0
# Where the budget of repeats is spent.
_MUCH_SLOWER = 4.0
_FASTER = 0.93
# Of the seconds that a call has left, the longest time between two attempts.
_SHARE_OF_TIME_LEFT = 1 / 20
# Of a call's seconds, how much the newest one counts.
_SHARE_OF_NEWEST = 0.1


class Throttle:
    """The queue of a client's attempts; for many threads.

    Attributes:
        refusal: What slowed the client down last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: collections.deque[object] = collections.deque()
        self._interval = 0.0
        self._begun = self._next = 0.0
        self._slowed = float("-inf")
        self._seconds = _TYPICAL_SECONDS
        self.refusal: grpc.RpcError | None = None

    def delay(self, ticket: object, now: float, left: float) -> float:
        """Says how long to wait before asking this again.

        Args:
            ticket: Whatever stands for the attempt in the queue.
            now: Seconds of a monotonic clock.
            left: Seconds until the call's deadline: the nearer it is, the
                more often a call is attempted.

        Returns:
            Seconds; 0 is the attempt's turn, for which it leaves the queue.
        """
        if not self._interval and not self._waiting:
            return 0.0
        with self._lock:
            if ticket not in self._waiting:
                self._waiting.append(ticket)
            place = self._waiting.index(ticket)
            begin = min(self._next, self._begun + left * _SHARE_OF_TIME_LEFT)
            if not place and now >= begin:
                self._waiting.popleft()
                self._begun = now
                self._next = now + self._interval * random.uniform(0.5, 1.5)
                return 0.0
            # Those before it may give up, or the interval may shrink.
            places = max(place - 1, 0)
            return max(begin - now, 0.001) + places * self._interval / 4

    def leave(self, ticket: object) -> None:
        """Takes an attempt that has given up out of the queue."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)

    def slow_down(
        self, refusal: grpc.RpcError, began: float, now: float, much: bool
    ) -> None:
        """Takes a refusal into account.

        Args:
            refusal: What the server said.
            began: When the attempt that was refused began.
            now: Seconds of the same clock.
            much: Whether repeats are scarce.
        """
        with self._lock:
            self.refusal = refusal
            # Attempts that began together tell of one overload, not of many.
            if began < self._slowed:
                return
            self._slowed = now
            factor = _MUCH_SLOWER if much else _SLOWER
            interval = max(
                self._interval * factor, self._seconds * _FIRST_INTERVAL
            )
            self._interval = min(interval, self._seconds * _LONGEST_INTERVAL)
            self._next = now + self._interval * random.uniform(0.5, 1.5)

    def quicken(self, seconds: float) -> None:
        """Takes an answer into account, and how many seconds it took."""
        with self._lock:
            self._seconds += _SHARE_OF_NEWEST * (seconds - self._seconds)
            self._interval *= _FASTER
            if self._interval < _SHORTEST_INTERVAL * self._seconds:
                self._interval = 0.0
