"""Whose call of the model's server comes next."""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator

# The share of all calls that one caller leaves to others, however many it
# has waiting: theirs then begin at once.
_SHARE_FOR_OTHERS = 4


class Turns:
    """Lets so many calls run at once, fairly among their callers.

    A call that waits goes to its caller's queue. The next to run is of the
    caller with the fewest running, of several the one whose last turn was
    longest ago. For tasks of one event loop.

    Args:
        calls: That run at once.
    """

    def __init__(self, calls: int):
        self._free = calls
        self._most = max(calls - max(calls // _SHARE_FOR_OTHERS, 1), 1)
        self._running = collections.Counter[str]()
        # In the order of their last turns.
        self._waiting: dict[str, collections.deque[asyncio.Future]] = {}

    @property
    def running(self) -> int:
        """Calls that run."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Waits for a turn of the caller's, which lasts as the block does."""
        await self._take(caller)
        try:
            yield
        finally:
            self._give_back(caller)

    async def _take(self, caller):
        ready = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, collections.deque()).append(ready)
        self._begin_next()
        try:
            await ready
        except asyncio.CancelledError:
            if ready.cancelled():
                self._begin_next()
            else:
                # Its turn came just as it was given up.
                self._give_back(caller)
            raise

    def _give_back(self, caller):
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        self._begin_next()

    def _begin_next(self):
        self._forget_cancelled()
        while self._free:
            callers = [
                caller
                for caller in self._waiting
                if self._running[caller] < self._most
            ]
            if not callers:
                return
            caller = min(callers, key=self._running.__getitem__)
            queue = self._waiting.pop(caller)
            queue.popleft().set_result(None)
            if queue:
                self._waiting[caller] = queue
            self._free -= 1
            self._running[caller] += 1

    def _forget_cancelled(self):
        for caller, queue in list(self._waiting.items()):
            left = [ready for ready in queue if not ready.cancelled()]
            self._waiting[caller] = collections.deque(left)
            if not left:
                del self._waiting[caller]
