"""Whose call of the model's server comes next."""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator

# A caller that is alone leaves this part of the calls free: whoever comes then
# begins at once.
_LEFT_FREE = 4
# Among how many callers the calls are shared at most: each may always run this
# part of them.
_LEAST_SHARE = 8
# For so long a caller counts as one of those that share, after it has asked.
_SECONDS = 10.0

# A set in order: whoever gives up leaves it without a look at the others.
_Queue = collections.OrderedDict[asyncio.Future, None]


class Turns:
    """Lets so many calls run at once, fairly among their callers.

    A call that waits goes to its caller's queue. The next to run is of the
    caller with the fewest running, of several the one whose last turn was
    longest ago. A caller runs no more than its share: an equal part of all
    calls for each that has asked of late, at least an eighth; alone, three
    quarters. So the server is not full of one caller's calls when others come.
    For tasks of one event loop.

    Args:
        calls: That run at once.
    """

    def __init__(self, calls: int):
        self._calls = self._free = calls
        self._running = collections.Counter[str]()
        # In the order of their last turns.
        self._waiting = collections.OrderedDict[str, _Queue]()
        # When each asked last, in that order.
        self._asked: dict[str, float] = {}

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
        loop = asyncio.get_running_loop()
        self._note(caller, loop.time())
        ready = loop.create_future()
        self._waiting.setdefault(caller, _Queue())[ready] = None
        self._begin_next()
        try:
            await ready
        except asyncio.CancelledError:
            if ready.cancelled():
                self._leave_queue(caller, ready)
            else:
                # Its turn came just as it was given up.
                self._give_back(caller)
            raise

    def _leave_queue(self, caller, ready):
        queue = self._waiting.get(caller)
        if queue and ready in queue:
            del queue[ready]
            if not queue:
                del self._waiting[caller]

    def _give_back(self, caller):
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        self._begin_next()

    def _note(self, caller, now):
        """Notes who asks, and forgets those that asked too long ago."""
        self._asked.pop(caller, None)
        self._asked[caller] = now
        while self._asked[oldest := next(iter(self._asked))] < now - _SECONDS:
            del self._asked[oldest]

    def _share(self, caller):
        """Returns how many calls the caller may run."""
        sharing = len(self._asked) + (caller not in self._asked)
        if sharing == 1:
            return max(self._calls - max(self._calls // _LEFT_FREE, 1), 1)
        return max(self._calls // min(sharing, _LEAST_SHARE), 1)

    def _begin_next(self):
        while self._free:
            callers = [
                caller
                for caller in self._waiting
                if self._running[caller] < self._share(caller)
            ]
            if not callers:
                return
            caller = min(callers, key=self._running.__getitem__)
            queue = self._waiting[caller]
            ready, _ = queue.popitem(last=False)
            # Else it was given up, and its task has not had time to leave.
            if not ready.cancelled():
                ready.set_result(None)
                self._free -= 1
                self._running[caller] += 1
                self._waiting.move_to_end(caller)
            if not queue:
                del self._waiting[caller]
