"""Replies in the shape of OpenAI's completions API.

`state`, `seed` and `stop_reason` of a choice are additions of this gateway.
"""

import dataclasses
import itertools
import json
import re
import secrets
import time
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from kerasrnn_serving.gateway.completions.log_probs import LogProbs
from kerasrnn_serving.gateway.completions.request import CompletionRequest
from kerasrnn_serving.gateway.completions.request import encode_state
from kerasrnn_serving.gateway.completions.writer import Piece

LAST_EVENT = b"data: [DONE]\n\n"
# Of a list, so much is encoded in one go: other requests wait for that long.
_AT_ONCE = 1024
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False
)


@dataclasses.dataclass
class Reply:
    """What the events of one reply have in common.

    Attributes:
        request: What was asked for.
        model: The model's name.
        version: That wrote the newest piece; None before the first.
        generated: Characters written so far.
    """

    request: CompletionRequest
    model: str
    version: int | None = None
    generated: int = 0

    def __post_init__(self):
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": self.model,
        }
        self._offsets: dict[int, int] = {}

    def event(self, piece: Piece) -> Iterable[bytes]:
        """Returns the parts of the server-sent event of one piece."""
        self._count(piece)
        # Only the last event has the state, unless all are wanted.
        with_state = bool(piece.finish) or self.request.include_states
        choice = self._choice([piece], with_state)
        if len(piece.text) <= _AT_ONCE:
            return [as_event(self._object([choice]))]
        parts = json_parts(self._object(iter([choice])))
        return itertools.chain([b"data: "], parts, [b"\n\n"])

    def usage_event(self) -> bytes:
        """Returns the event that a stream with its usage ends with."""
        return as_event({**self._object([]), "usage": self._usage()})

    def whole(self, pieces: Sequence[Sequence[Piece]]) -> Iterator[bytes]:
        """Iterates over the JSON of a reply that is no stream, in parts.

        Args:
            pieces: Those of each choice.
        """
        for some in pieces:
            for piece in some:
                self._count(piece)
        choices = (self._choice(some, True) for some in pieces)
        return json_parts({**self._object(choices), "usage": self._usage()})

    def _count(self, piece):
        self.generated += piece.generated
        if piece.version is not None:
            self.version = piece.version

    def _object(self, choices):
        fields = {**self._head, "choices": choices}
        if self.version is not None:
            # The same version gives the same text again for the same seed.
            fields["system_fingerprint"] = f"version-{self.version}"
        return fields

    def _choice(self, pieces, with_state):
        last = pieces[-1]
        text = "".join(piece.text for piece in pieces)
        index = last.completion.index
        offset = self._offsets.get(index, 0)
        self._offsets[index] = offset + len(text)
        choice = {
            "index": index,
            "text": text,
            "logprobs": _log_probs(pieces, offset),
            "finish_reason": last.finish,
            "stop_reason": last.stop,
            "seed": last.completion.seed,
        }
        if with_state and last.state is not None:
            choice["state"] = encode_state(last.state)
        if any(piece.restarted for piece in pieces):
            choice["restarted"] = True
        return choice

    def _usage(self):
        read = self.request.prompt_characters
        return {
            "prompt_tokens": read,
            "completion_tokens": self.generated,
            "total_tokens": read + self.generated,
        }


def _log_probs(pieces, offset):
    known = [piece.log_probs for piece in pieces if piece.log_probs]
    if not known:
        return None
    joined = LogProbs()
    for some in known:
        joined.add(some)
    return {
        "tokens": joined.tokens,
        "token_logprobs": joined.token_log_probs,
        "top_logprobs": joined.top_log_probs,
        "text_offset": _offsets(joined.tokens, offset),
        "next_top_logprobs": joined.next_top_log_probs,
    }


def _offsets(tokens, following):
    """Returns where in the text each token's character begins."""
    offsets = []
    for token in tokens:
        # Of a character of several bytes, the others continue the first.
        if len(token) > 1 and re.fullmatch(r"bytes:\\x[89ab].", token):
            offsets.append(max(following - 1, 0))
        else:
            offsets.append(following)
            following += 1
    return offsets


def as_event(fields: dict) -> bytes:
    """Returns a server-sent event."""
    return b"data: " + to_json(fields) + b"\n\n"


def to_json(value: Any) -> bytes:
    """Returns JSON as compact UTF-8."""
    # Half a surrogate pair, in a stranger's word that an error tells back,
    # is an escape of JSON then.
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def json_parts(value: Any) -> Iterator[bytes]:
    """Iterates over the parts of what `to_json` returns.

    They are made when they are asked for: of an object one field after the
    other, of a list some entries at a time, and of an iterator, which becomes
    a list, one entry after the other.
    """
    before = b""
    if isinstance(value, dict):
        yield b"{"
        for name, field in value.items():
            yield before + to_json(name) + b":"
            yield from json_parts(field)
            before = b","
        yield b"}"
    elif isinstance(value, Iterator):
        yield b"["
        for entry in value:
            yield before
            yield from json_parts(entry)
            before = b","
        yield b"]"
    elif isinstance(value, list):
        yield b"["
        for start in range(0, len(value), _AT_ONCE):
            yield before + to_json(value[start : start + _AT_ONCE])[1:-1]
            before = b","
        yield b"]"
    else:
        yield to_json(value)
