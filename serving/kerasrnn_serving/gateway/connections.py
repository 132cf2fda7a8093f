"""Which connections the gateway keeps, and which requests it takes."""

from typing import Generic
from typing import TypeVar

One = TypeVar("One")

# So many beyond the limit may be open for a moment, so that they can be told
# that the gateway is busy, or that it runs.
SPARE = 16


class Connections(Generic[One]):
    """All that are open; the quiet ones make room for those that ask.

    A connection is quiet while no request of its is in progress: it has just
    been opened, a part of a request's headers has come, or its last reply
    has ended.

    Args:
        limit: How many may have a request in progress; about as many are
            open in all.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._asking: set[One] = set()
        # In the order in which they became quiet.
        self._quiet: dict[One, None] = {}

    @property
    def open(self) -> int:
        """How many are open."""
        return len(self._asking) + len(self._quiet)

    def opened(self, one: One) -> One | None:
        """Adds a connection, which is quiet.

        Returns:
            The one to be closed for it, which is no longer counted: the one
            that is quiet for longest, which may be the new one; None if there
            is room.
        """
        self._quiet[one] = None
        beyond = self.open - self._limit
        if beyond <= 0:
            return None
        # Whoever came a moment ago may be about to ask.
        if len(self._quiet) <= SPARE and beyond <= 2 * SPARE:
            return None
        oldest = next(iter(self._quiet))
        del self._quiet[oldest]
        return oldest

    def began(self, one: One) -> bool:
        """Notes that a request has come; returns whether it can be taken."""
        self._quiet.pop(one, None)
        self._asking.add(one)
        return len(self._asking) <= self._limit

    def ended(self, one: One) -> None:
        """Notes that no request is in progress any more."""
        if one in self._asking:
            self._asking.remove(one)
            self._quiet[one] = None

    def closed(self, one: One) -> None:
        """Removes a connection, if it is still there."""
        self._asking.discard(one)
        self._quiet.pop(one, None)
