"""Writes one completion: the model's text in pieces, up to a stop string."""

import dataclasses
from collections.abc import AsyncIterator
from typing import NamedTuple
from typing import cast

from kerasrnn_serving.client import CHUNK
from kerasrnn_serving.client import FIRST_CHUNK
from kerasrnn_serving.client.errors import VersionGone
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.gateway.completions.backend import Backend
from kerasrnn_serving.gateway.completions.log_probs import LogProbReader
from kerasrnn_serving.gateway.completions.log_probs import LogProbs
from kerasrnn_serving.gateway.completions.request import Completion
from kerasrnn_serving.gateway.completions.request import CompletionRequest
from kerasrnn_serving.gateway.completions.stops import Stopped
from kerasrnn_serving.gateway.completions.stops import StopScanner


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a completion.

    Attributes:
        completion: Which.
        text: What it adds; may be empty.
        generated: Characters that the model wrote for it; bytes where its
            vocabulary has bytes.
        log_probs: Of its text, if they were asked for.
        finish: "length" or "stop" of the last piece, else None.
        stop: The string that ended the completion, if one did.
        state: Token after the text; None where the model is ahead of it, or
            its version is gone.
        version: Of the model; None of the prompt's echo.
        restarted: Whether this version read the text of another and went on,
            or another one computed the log probabilities, since this one was
            gone by then.
    """

    completion: Completion
    text: str
    generated: int = 0
    log_probs: LogProbs | None = None
    finish: str | None = None
    stop: str | None = None
    state: bytes | None = None
    version: int | None = None
    restarted: bool = False


class _Place(NamedTuple):
    """From where a version of the model writes on.

    Attributes:
        prompt: To read first.
        state: Token of the text before.
        version: Of the model.
    """

    prompt: str
    state: bytes
    version: int


async def write(
    backend: Backend, request: CompletionRequest, completion: Completion
) -> AsyncIterator[Piece]:
    """Iterates over the pieces of one completion.

    Raises:
        ServingError: A call failed, or the model refused the prompt.
    """
    echo = None
    if request.echo:
        echo = Piece(completion=completion, text=completion.prompt)
    if request.logprobs is None:
        if echo:
            yield echo
        async for piece in _pieces(backend, request, completion):
            yield piece
        return
    reader = LogProbReader(backend, completion.state, request.logprobs)
    if not echo:
        reader.skip(completion.prompt)
    async for piece in _pieces(backend, request, completion):
        version = cast(int, piece.version)
        if echo:
            # Only now is it known which version writes, and so has to read.
            yield await _with_log_probs(echo, reader, version)
            echo = None
        yield await _with_log_probs(piece, reader, version)


async def _with_log_probs(
    piece: Piece, reader: LogProbReader, version: int
) -> Piece:
    log_probs = await reader.read(piece.text, version)
    restarted = piece.restarted or reader.version != version
    return dataclasses.replace(piece, log_probs=log_probs, restarted=restarted)


async def _pieces(
    backend: Backend, request: CompletionRequest, completion: Completion
) -> AsyncIterator[Piece]:
    """Iterates over the pieces, without log probabilities."""
    scanner = StopScanner(request.stop)
    written = [completion.prompt]
    place = None
    first = _first_chunk(request, completion)
    async for chunk in backend.stream(request, completion, first):
        if place is None:
            place = _Place(completion.prompt, completion.state, chunk.version)
            seam = await _stopped_at_seam(backend, request, completion, place)
            if seam:
                yield seam
                return
        elif place.version != chunk.version:
            # It has read the text so far: a token of the version before would
            # be of no use to it.
            place = _Place("".join(written), b"", chunk.version)
        found = scanner.add(chunk.text)
        if isinstance(found, Stopped):
            piece = _piece(completion, chunk, found.text, found.stop)
            if chunk.finish != "stop" or found.end < len(chunk.text):
                # The model does not know of this stop string, and has written
                # past it.
                text = chunk.text[: found.end]
                piece = await _up_to(text, backend, request, piece, place)
        elif chunk.finish == "stop":
            # A stop string that began before the state; see `_first_chunk`.
            piece = _piece(completion, chunk, "", request.stop[0])
        elif chunk.finish:
            piece = _piece(completion, chunk, found + scanner.rest())
        else:
            piece = _piece(completion, chunk, found)
            if scanner.held:
                piece = dataclasses.replace(piece, state=None)
        yield piece
        if piece.finish:
            return
        written.append(chunk.text)
        place = _Place("", chunk.state_bytes, chunk.version)


def _first_chunk(request: CompletionRequest, completion: Completion) -> int:
    """Returns the characters of the first chunk."""
    # A stream begins with little, so that it begins at once.
    first = FIRST_CHUNK if request.stream else CHUNK
    if completion.state and len(request.stop) == 1:
        # Of a stop string that began before the state, nothing is to be given
        # out: the first chunk is as long as what may come of it.
        first = max(first, _most_after_seam(request.stop[0]))
    return first


def _most_after_seam(stop: str) -> int:
    """Returns how much of a stop string may come after a state at most."""
    # Also bytes: what a model with a byte vocabulary counts.
    return len(stop.encode()) - 1


async def _stopped_at_seam(
    backend: Backend,
    request: CompletionRequest,
    completion: Completion,
    place: _Place,
) -> Piece | None:
    """Returns the only piece of a text that ends before it has begun.

    A stop string may have begun in the text that the state stands for. The
    model alone knows that text, and looks for one stop string a call: it is
    asked for as much of the text as may belong to each. (A prompt ends what was
    written before it; and a single stop string is looked for in any case.)
    """
    if not place.state or place.prompt or len(request.stop) < 2:
        return None
    stops = {
        stop: size
        for stop in request.stop
        if (size := min(_most_after_seam(stop), request.max_tokens))
    }
    if not stops:
        return None
    beginnings = await backend.write_until(request, completion, *place, stops)
    seams = [
        (beginning.length, -len(stop), stop, beginning)
        for stop, beginning in zip(stops, beginnings, strict=True)
        if beginning.finish == "stop" and stop not in beginning.text
    ]
    if not seams:
        return None
    _, _, stop, beginning = min(seams)
    found = StopScanner(request.stop).add(beginning.text)
    if isinstance(found, Stopped) and found.end < len(beginning.text):
        # Another one, which began after the state, is complete before.
        return None
    return _piece(completion, beginning, "", stop)


async def _up_to(
    text: str,
    backend: Backend,
    request: CompletionRequest,
    piece: Piece,
    place: _Place,
) -> Piece:
    """Returns the piece with the state after its stop string.

    Args:
        text: From the place on, up to the end of the stop string.
        backend: Makes the call.
        request: How the piece was written.
        piece: With the state after more text.
        place: Where the model began to write it.
    """
    stops = {cast(str, piece.stop): piece.generated}
    try:
        (again,) = await backend.write_until(
            request, piece.completion, *place, stops
        )
    except VersionGone:
        # Its states are of no use any more.
        return dataclasses.replace(piece, state=None)
    if again.text != text:
        # A stop string that began in what another version wrote: the model
        # does not find it.
        return dataclasses.replace(piece, state=None)
    return dataclasses.replace(
        piece, state=again.state_bytes, generated=again.length
    )


def _piece(
    completion: Completion,
    chunk: Generation,
    text: str,
    stop: str | None = None,
) -> Piece:
    return Piece(
        completion=completion,
        text=text,
        generated=chunk.length,
        finish="stop" if stop else chunk.finish or None,
        stop=stop,
        state=chunk.state_bytes,
        version=chunk.version,
        restarted=chunk.restarted,
    )
