"""Writes one completion: the model's text in pieces, up to a stop string."""

import dataclasses
from collections.abc import AsyncIterator

from kerasrnn_serving.client import CHUNK
from kerasrnn_serving.client import FIRST_CHUNK
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
        state: Token after the text; None where the model is ahead of it.
        version: Of the model; None of the prompt's echo.
        restarted: Whether this version read the text of another and went on.
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


async def write(
    backend: Backend, request: CompletionRequest, completion: Completion
) -> AsyncIterator[Piece]:
    """Iterates over the pieces of one completion.

    Raises:
        ServingError: A call failed, or the model refused the prompt.
    """
    reader = None
    if request.logprobs is not None:
        reader = LogProbReader(backend, completion.state, request.logprobs)
    if request.echo:
        prompt = completion.prompt
        log_probs = await reader.read(prompt) if reader else None
        yield Piece(completion=completion, text=prompt, log_probs=log_probs)
    elif reader:
        await reader.skip(completion.prompt)
    scanner = StopScanner(request.stop)
    before = completion.prompt, completion.state
    # A stream begins with little, so that it begins at once.
    first = FIRST_CHUNK if request.stream else CHUNK
    async for chunk in backend.stream(request, completion, first):
        piece = _piece(completion, chunk, scanner)
        if piece.stop and chunk.finish != "stop":
            # Of several stop strings: the model has written past it.
            piece = await _up_to(piece.stop, backend, request, piece, *before)
        if reader:
            log_probs = await reader.read(piece.text)
            piece = dataclasses.replace(piece, log_probs=log_probs)
        yield piece
        if piece.finish:
            return
        before = "", chunk.state_bytes


async def _up_to(
    stop: str,
    backend: Backend,
    request: CompletionRequest,
    piece: Piece,
    prompt: str,
    state: bytes,
) -> Piece:
    """Returns the piece with the state after the stop string."""
    if piece.restarted:
        # The state before is another version's, which is gone.
        return dataclasses.replace(piece, state=None)
    again = await backend.write_until(
        request, piece.completion, prompt, state, piece.generated, stop
    )
    return dataclasses.replace(
        piece, state=again.state_bytes, generated=again.length
    )


def _piece(completion, chunk: Generation, scanner: StopScanner) -> Piece:
    found = scanner.add(chunk.text)
    finish, stop = chunk.finish or None, None
    if isinstance(found, Stopped):
        text, finish, stop = found.text, "stop", found.stop
        ahead = False
    else:
        text = found
        if finish == "length":
            text += scanner.rest()
        # A stop string that began in the text before ends it, too; what came
        # of it now is none of the text.
        ahead = not finish and bool(scanner.held)
    return Piece(
        completion=completion,
        text=text,
        generated=chunk.length,
        finish=finish,
        stop=stop,
        state=None if ahead else chunk.state_bytes,
        version=chunk.version,
        restarted=chunk.restarted,
    )
