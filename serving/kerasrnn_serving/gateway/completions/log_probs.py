"""How likely each character of a text was, and which others were likely."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import cast

from kerasrnn_serving.client.errors import VersionGone
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score
from kerasrnn_serving.gateway.completions.backend import Backend

# Of a text that is read at once: an inspection holds all units' activations
# for each character.
_PIECE = 1024
# How often one piece is begun again, as the client does it: versions do not
# come faster, unless the replicas do not agree on them.
_RESTARTS = 3


# Log probabilities of characters; None where they are not known.
Top = dict[str, float] | None


@dataclasses.dataclass
class LogProbs:
    """Of the characters of a piece of text, at temperature 1, in nats.

    Attributes:
        tokens: The characters; of a byte vocabulary the bytes.
        token_log_probs: How likely each was; None of an unknown one.
        top_log_probs: For each, the likeliest in its place by their text;
            None where they are not known: of the first of all characters.
        next_top_log_probs: The same for the character that follows.
    """

    tokens: list[str] = dataclasses.field(default_factory=list)
    token_log_probs: list[float | None] = dataclasses.field(
        default_factory=list
    )
    top_log_probs: list[Top] = dataclasses.field(default_factory=list)
    next_top_log_probs: Top = None

    def add(self, other: "LogProbs") -> None:
        """Appends those of the text that follows."""
        self.tokens += other.tokens
        self.token_log_probs += other.token_log_probs
        self.top_log_probs += other.top_log_probs
        self.next_top_log_probs = other.next_top_log_probs


class LogProbReader:
    """Reads a text piece by piece, beside the model that writes it.

    It has a state of its own, so that the pieces may be cut anywhere. It reads
    with the version that writes. Where that is another one than before, or no
    longer served, it begins again with the text so far.

    Args:
        backend: Makes the calls.
        state: Token of the text before; empty is the start.
        alternatives: How many to list for each character; 0 to 5.

    Attributes:
        version: That read last; None before the first call.
    """

    def __init__(self, backend: Backend, state: bytes, alternatives: int):
        self._backend = backend
        self._first_state = state
        self._alternatives = alternatives
        self.version: int | None = None
        self._state = state
        self._text: list[str] = []
        self._next: Top = None

    def skip(self, text: str) -> None:
        """Takes the text before all others: nobody wants its probabilities."""
        self._text.append(text)

    async def read(self, text: str, version: int) -> LogProbs:
        """Reads a text and returns its probabilities.

        Args:
            text: That follows the text so far.
            version: The one that wrote it.

        Raises:
            ServingError: A call failed.
            VersionGone: The version is no longer served, and no other one can
                take its place: the text before the first state is not known.
        """
        wanted: int | None = version
        for attempt in range(_RESTARTS + 1):
            try:
                if wanted is None or wanted != self.version:
                    await self._begin_again(wanted)
                result = await self._read_pieces(text)
            except VersionGone:
                if self._first_state or attempt == _RESTARTS:
                    raise
                wanted = None  # the newest
            else:
                break
        self._text.append(text)
        return result

    async def _begin_again(self, version: int | None) -> None:
        """Has a version, None is the newest, read the text so far."""
        text = "".join(self._text)
        self.version, self._state, self._next = version, self._first_state, None
        if version is None or len(text) > 1:
            read = await self._backend.read(text[:-1], self._state, version)
            self.version, self._state = read.version, read.state_bytes
        if text:
            # What may follow it is known after its last character.
            await self._read(text[-1])

    async def _read_pieces(self, text: str) -> LogProbs:
        result = LogProbs(next_top_log_probs=self._next)
        for start in range(0, len(text), _PIECE):
            result.add(await self._read(text[start : start + _PIECE]))
        return result

    async def _read(self, text: str) -> LogProbs:
        # Either call alone could be answered by a version that came meanwhile.
        asked = text, self._state, cast(int, self.version)
        score_call = self._backend.score(*asked)
        if not self._alternatives:
            score = await score_call
            tokens = _tokens(text, score)
            tops: list[Top] = [None] * len(tokens)
        else:
            score, inspection = await asyncio.gather(
                score_call, self._backend.inspect(*asked)
            )
            tokens = [_token(text) for text in inspection.characters]
            following = _following(inspection, self._alternatives)
            tops = [self._next, *following][: len(tokens)]
            self._next = following[-1]
        self._state = score.state_bytes
        return LogProbs(
            tokens=tokens,
            token_log_probs=_known_log_probs(score),
            top_log_probs=tops,
            next_top_log_probs=self._next,
        )


def _tokens(text: str, score: Score) -> list[str]:
    if len(score.character_log_probs) == len(text):
        return list(text)
    return [_byte_token(byte) for byte in text.encode()]


def _byte_token(byte):
    # As OpenAI's API spells what is no character by itself.
    return chr(byte) if byte < 0x80 else f"bytes:\\x{byte:02x}"


def _known_log_probs(score: Score) -> list[float | None]:
    # Unknown characters have 0, which no known one quite reaches.
    unknown = 0.0 if score.unknown else None
    values = map(_finite, score.character_log_probs)
    return [None if value == unknown else value for value in values]


def _following(inspection: Inspection, alternatives: int) -> list[Top]:
    """Returns the likeliest characters after each that was read."""
    return [
        {
            _token(character): _finite(value)
            for character, value in _pairs(characters, values, alternatives)
        }
        for characters, values in zip(
            inspection.top_characters, inspection.top_log_probs, strict=True
        )
    ]


def _pairs(characters: Sequence[str], values, alternatives):
    """Leaves out the empty ones, of a vocabulary with fewer characters."""
    pairs = zip(characters, values, strict=True)
    return [pair for pair in pairs if pair[0]][:alternatives]


def _token(character: str) -> str:
    # inspect spells a byte as \xNN.
    return f"bytes:{character}" if len(character) == 4 else character


def _finite(log_prob) -> float:
    # JSON has no infinities; OpenAI's API has this number for what is
    # hardly possible.
    return max(float(log_prob), -9999.0)
