"""What is said to a server, apart from how it gets there.

The clients' logic is written once, as conversations: generators that yield
each `Call` to make, are sent its reply, and yield what they have for the
caller in between. `drive` and `drive_async` make the calls.
"""

import dataclasses
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from typing import Any

from kerasrnn_serving.client.errors import ServingError


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a server.

    Attributes:
        path: Of the method, such as `wire.PREDICT`.
        request: The message to send.
        response_type: The class of the reply's message.
    """

    path: str
    request: Any
    response_type: type


Conversation = Generator[Any, Any, Any]


def drive(
    conversation: Conversation, send: Callable[[Call], Any]
) -> Iterator[Any]:
    """Makes a conversation's calls; yields what it has for the caller.

    Args:
        conversation: What to say.
        send: Makes a call and returns the reply. A ServingError that it
            raises is raised in the conversation.
    """
    step = _first(conversation)
    while step is not _END:
        if isinstance(step, Call):
            try:
                reply = send(step)
            except ServingError as error:
                step = _failed(conversation, error)
            else:
                step = _replied(conversation, reply)
        else:
            yield step
            step = _replied(conversation, None)


async def drive_async(
    conversation: Conversation, send: Callable[[Call], Awaitable[Any]]
) -> AsyncIterator[Any]:
    """Is `drive` for an event loop."""
    step = _first(conversation)
    while step is not _END:
        if isinstance(step, Call):
            try:
                reply = await send(step)
            except ServingError as error:
                step = _failed(conversation, error)
            else:
                step = _replied(conversation, reply)
        else:
            yield step
            step = _replied(conversation, None)


_END = object()


def _first(conversation):
    return next(conversation, _END)


def _replied(conversation, reply):
    try:
        return conversation.send(reply)
    except StopIteration:
        return _END


def _failed(conversation, error):
    try:
        return conversation.throw(error)
    except StopIteration:
        return _END
