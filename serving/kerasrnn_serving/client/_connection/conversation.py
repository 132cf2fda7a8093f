"""What is said to a server, apart from how it gets there.

The clients' logic is written once, as conversations: generators that yield
each call to make, are sent its reply, and return a result. `hold` makes the
calls from a thread, `hold_async` from an event loop.
"""

import dataclasses
import functools
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Generator
from typing import Any
from typing import Generic
from typing import TypeVar

from google.protobuf.message import Message

from kerasrnn_serving.client.errors import ServingError

Reply = TypeVar("Reply", bound=Message)
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Call(Generic[Reply]):
    """One call of a server.

    Attributes:
        path: Of the method, such as `api.PREDICT`.
        request: The message to send.
        response_type: The class of the reply's message.
    """

    path: str
    request: Message
    response_type: type[Reply]


Conversation = Generator[Call[Any], Any, Result]


def reply_to(call: Call[Reply]) -> Conversation[Reply]:
    """Returns the reply to one call; to be used with `yield from`."""
    reply: Reply = yield call
    return reply


def hold(
    conversation: Conversation[Result], send: Callable[[Call[Any]], Any]
) -> Result:
    """Makes a conversation's calls; returns its result.

    Args:
        conversation: What to say.
        send: Makes a call and returns the reply. A ServingError that it
            raises is raised in the conversation.
    """
    step = functools.partial(next, conversation)
    while True:
        try:
            call = step()
        except StopIteration as end:
            result: Result = end.value
            return result
        try:
            reply = send(call)
        except ServingError as error:
            step = functools.partial(conversation.throw, error)
        else:
            step = functools.partial(conversation.send, reply)


async def hold_async(
    conversation: Conversation[Result],
    send: Callable[[Call[Any]], Awaitable[Any]],
) -> Result:
    """Does what `hold` does, in an event loop."""
    step = functools.partial(next, conversation)
    while True:
        try:
            call = step()
        except StopIteration as end:
            result: Result = end.value
            return result
        try:
            reply = await send(call)
        except ServingError as error:
            step = functools.partial(conversation.throw, error)
        else:
            step = functools.partial(conversation.send, reply)
