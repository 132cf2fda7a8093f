"""What HTTP the gateway speaks over ASGI: bodies, replies, streams, leaving."""

import asyncio
import contextlib
from collections.abc import Coroutine
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import Protocol

from starlette.types import Message
from starlette.types import Receive
from starlette.types import Scope
from starlette.types import Send

from kerasrnn_serving.gateway.errors import ApiError

_JSON = ((b"content-type", b"application/json; charset=utf-8"),)
# A proxy in between must pass each event on at once.
_EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


# In the scope of a request: whether it comes on one connection too many.
BUSY = "kerasrnn.busy"
# Of a body, so much is sent at once: a client that has read as much has got on.
PART = 2**16


class ClientLeft(Exception):
    """The client has gone; nobody waits for a reply."""


class SendBody(Protocol):
    """Sends a part of a reply that has begun."""

    async def __call__(self, data: bytes, last: bool = False) -> None:
        """Sends it; `last` ends the reply."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Returns a request's body.

    Raises:
        ApiError: It is larger than `limit` bytes.
        ClientLeft: The client went away before it was whole.
    """
    headers = dict(scope["headers"])
    if int(headers.get(b"content-length", b"0")) > limit:
        raise _too_large(limit)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


async def skip_body(receive: Receive, seconds: float) -> None:
    """Reads a body that nobody wants, for so long at most.

    A connection that is closed before it was read is reset, and its client
    may lose the reply.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body", False):
                pass


def _too_large(limit):
    return ApiError(
        413,
        f"The body has more than {limit} bytes. Send less at a time.",
        code="body_too_large",
    )


async def send_reply(
    send: Send,
    status: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Sends a JSON reply."""
    raw = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in (headers or {}).items()
    ]
    raw += [*_JSON, (b"content-length", b"%d" % len(body))]
    await send(
        {"type": "http.response.start", "status": status, "headers": raw}
    )
    await _send_body(send, body, last=True)


async def _send_body(send, data, last):
    for start in range(0, max(len(data), 1), PART):
        end = start + PART
        await send(
            {
                "type": "http.response.body",
                "body": data[start:end],
                "more_body": not last or end < len(data),
            }
        )


async def join_parts(parts: Iterable[bytes]) -> bytes:
    """Joins parts; while they are made, other tasks have their turns."""
    whole = bytearray()
    since = 0
    for part in parts:
        whole += part
        since += len(part)
        if since >= PART:
            await asyncio.sleep(0)
            since = 0
    return bytes(whole)


async def start_stream(send: Send) -> SendBody:
    """Begins a reply of server-sent events; returns what sends them."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": list(_EVENTS),
        }
    )

    async def body(data: bytes, last: bool = False) -> None:
        await _send_body(send, data, last)

    return body


def begins_stream(message: Message) -> bool:
    """Returns whether a message begins a reply of server-sent events."""
    return _EVENTS[0] in message.get("headers", ())


async def end_stream(send: Send, data: bytes) -> None:
    """Ends a stream whose work was given up."""
    await _send_body(send, data, last=True)


async def until_left(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine until its client leaves.

    It is then cancelled, and with it its calls of the model's server. The
    request's body must have been read.

    Raises:
        ClientLeft: The client has gone; the work has ended.
    """

    async def left():
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(work), asyncio.create_task(left())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientLeft
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
