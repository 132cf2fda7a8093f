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
        self._running = collections.Counter()
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
            if ready.done() and not ready.cancelled():
                self._give_back(caller)
            else:
                self._remove(caller, ready)
            raise

    def _give_back(self, caller):
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        self._begin_next()

    def _begin_next(self):
        while self._free:
            callers = [
                c for c in self._waiting if self._running[c] < self._most
            ]
            if not callers:
                return
            caller = min(callers, key=self._running.__getitem__)
            queue = self._waiting.pop(caller)
            ready = queue.popleft()
            if queue:
                self._waiting[caller] = queue
            self._free -= 1
            self._running[caller] += 1
            ready.set_result(None)

    def _remove(self, caller, ready):
        queue = self._waiting[caller]
        queue.remove(ready)
        if not queue:
            del self._waiting[caller]
