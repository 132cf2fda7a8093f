"""Stop strings in a text that comes in pieces."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Stopped:
    """Where a text ended.

    Attributes:
        text: What of it is left to give out, without the stop string.
        stop: The string that ended it.
        end: Where in the piece that came last the string ends.
    """

    text: str
    stop: str
    end: int


class StopScanner:
    """Finds the stop string that is complete first.

    Args:
        stops: Strings that are not empty; none of them ends nothing.

    Attributes:
        held: The end of the text that was not given out yet.
    """

    def __init__(self, stops: Sequence[str]):
        self._stops = stops
        self.held = ""

    def add(self, piece: str) -> str | Stopped:
        """Takes the text's next piece.

        Returns:
            What can be given out by now, which leaves out an end that may be
            the beginning of a stop string; or where the text ended.
        """
        text = self.held + piece
        ends = [
            (position + len(stop), -len(stop), stop)
            for stop in self._stops
            if (position := text.find(stop)) >= 0
        ]
        if ends:
            end, _, stop = min(ends)
            return Stopped(text[: end - len(stop)], stop, end - len(self.held))
        kept = max(
            (
                size
                for stop in self._stops
                for size in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:size])
            ),
            default=0,
        )
        self.held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def rest(self) -> str:
        """Returns what was held back, where the text ends without a stop."""
        held, self.held = self.held, ""
        return held
