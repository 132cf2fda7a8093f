"""POST /v1/completions: a request in, its texts out, whole or as a stream."""

import asyncio
import dataclasses
from collections.abc import Awaitable
from collections.abc import Callable
from typing import cast

from starlette.requests import Request
from starlette.types import Receive
from starlette.types import Scope
from starlette.types import Send

from kerasrnn_serving.client import AsyncClient
from kerasrnn_serving.client import ServingError
from kerasrnn_serving.gateway.access.callers import Callers
from kerasrnn_serving.gateway.access.limits import Gate
from kerasrnn_serving.gateway.access.turns import Turns
from kerasrnn_serving.gateway.asgi import SendBody
from kerasrnn_serving.gateway.asgi import join_parts
from kerasrnn_serving.gateway.asgi import read_body
from kerasrnn_serving.gateway.asgi import send_reply
from kerasrnn_serving.gateway.asgi import start_stream
from kerasrnn_serving.gateway.asgi import until_left
from kerasrnn_serving.gateway.completions.backend import Backend
from kerasrnn_serving.gateway.completions.fields import parse_json
from kerasrnn_serving.gateway.completions.request import CompletionRequest
from kerasrnn_serving.gateway.completions.request import parse_request
from kerasrnn_serving.gateway.completions.response import LAST_EVENT
from kerasrnn_serving.gateway.completions.response import Reply
from kerasrnn_serving.gateway.completions.response import as_event
from kerasrnn_serving.gateway.completions.writer import Piece
from kerasrnn_serving.gateway.completions.writer import write
from kerasrnn_serving.gateway.errors import ApiError
from kerasrnn_serving.gateway.errors import from_serving
from kerasrnn_serving.gateway.records import Metrics
from kerasrnn_serving.gateway.settings import Settings

Emit = Callable[[Piece], Awaitable[None]]


class Completions:
    """The endpoint, as an ASGI application.

    Args:
        client: Of the model's server.
        model: The model's name.
        callers: Tells who asks.
        turns: Of the calls of the model's server.
        metrics: Of the gateway.
        settings: Its bounds.
    """

    def __init__(
        self,
        client: AsyncClient,
        model: str,
        callers: Callers,
        turns: Turns,
        metrics: Metrics,
        settings: Settings,
    ):
        self._client = client
        self._model = model
        self._callers = callers
        self._turns = turns
        self._metrics = metrics
        self._settings = settings
        self._gate = Gate()

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answers one request.

        Raises:
            ApiError: It is refused, or failed before anything was sent.
            ClientLeft: Its client has gone; its work has ended.
        """
        record = scope["kerasrnn.record"]
        caller = self._callers.identify(Request(scope))
        if self._callers.need_keys:
            record.caller = caller.name
        body = await read_body(scope, receive, self._settings.max_body_bytes)
        request = parse_request(parse_json(body), self._model, self._settings)
        record.choices = len(request.completions)
        record.user = request.user and request.user[:64]
        backend = Backend(self._client, self._turns, caller.name)
        reply = Reply(request, self._model)
        answer = _stream if request.stream else _whole
        with (
            self._gate.admit(caller, request.characters) as admission,
            self._metrics.completing.track_inprogress(),
        ):
            record.prompt_characters = request.prompt_characters
            again = 0

            async def write_all(emit: Emit) -> None:
                async def note(piece):
                    nonlocal again
                    if piece.stop and len(request.stop) > 1:
                        # See `writer`: to stop there it is written again.
                        again += len(piece.completion.prompt) + piece.generated
                    record.wrote(piece.generated)
                    await emit(piece)
                    record.version = reply.version

                await _write_all(backend, request, note)

            try:
                work = answer(write_all, reply, send, self._failed(record))
                await until_left(receive, work)
            finally:
                admission.characters = again + request.characters_with(
                    record.characters or 0
                )

    def _failed(self, record):
        """Returns what notes an error that the reply itself has to tell."""

        def note(error: ApiError) -> None:
            record.error = str(error.__cause__ or error)
            self._metrics.failed(error.code or error.kind)

        return note


async def _whole(write_all, reply: Reply, send: Send, failed) -> None:
    del failed  # nothing was sent yet: the application tells of it
    pieces: dict[int, list[Piece]] = {
        one.index: [] for one in reply.request.completions
    }

    async def keep(piece):
        kept = pieces[piece.completion.index]
        if kept:
            # A choice has its last state alone, and they are large.
            kept[-1] = dataclasses.replace(kept[-1], state=None)
        kept.append(piece)
        if piece.version is not None:
            reply.version = piece.version

    await write_all(keep)
    parts = reply.whole(list(pieces.values()))
    await send_reply(send, 200, await join_parts(parts))


async def _stream(write_all, reply: Reply, send: Send, failed) -> None:
    # Its texts come at once, but one connection takes one event at a time.
    lock = asyncio.Lock()
    body: SendBody | None = None

    async def emit(piece):
        nonlocal body
        async with lock:
            if body is None:
                # Until now an error had a status of its own.
                body = await start_stream(send)
            await body(await join_parts(reply.event(piece)))

    try:
        await write_all(emit)
    except ApiError as error:
        if body is None:
            raise
        failed(error)
        ending = as_event(error.body())
    else:
        ending = LAST_EVENT
        if reply.request.include_usage:
            ending = reply.usage_event() + ending
    # Each text has a piece, so that the stream has begun.
    await cast(SendBody, body)(ending, last=True)


async def _write_all(
    backend: Backend, request: CompletionRequest, emit: Emit
) -> None:
    """Writes all completions of a request at the same time.

    Raises:
        ApiError: One failed, and the others were given up.
    """

    async def write_one(completion):
        async for piece in write(backend, request, completion):
            await emit(piece)

    try:
        async with asyncio.TaskGroup() as group:
            for completion in request.completions:
                group.create_task(write_one(completion))
    except* ServingError as errors:
        first = _first_of(errors)
        raise from_serving(first) from first


def _first_of(group):
    """Returns the first exception in a group, however deep."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
