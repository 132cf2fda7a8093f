"""What the services of the local server share: how calls begin and end."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message import Message

from kerasrnn.errors import PicklableError

# The server's own limit on an error's text.
MAX_MESSAGE = 1024
# Calls that may wait for their messages for as long as a call may take.
MAX_ARRIVING = 128
# What each may wait where they are more. A message that its client sends with
# the call is there at once, but a server short of processors reads it later.
ARRIVAL_SECONDS = 5.0

# Of a wait: some systems allow no longer ones.
_MAX_SECONDS = 3600.0


class StatusError(PicklableError):
    """A call that ends with a gRPC status.

    Attributes:
        code: The status.
        message: What the client is told.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> StatusError:
    """Returns a StatusError of code INVALID_ARGUMENT."""
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


class Deadlines:
    """Functions that are called at their times, all by one thread.

    A timer of its own for each call would cost more.
    """

    def __init__(self):
        self._changed = threading.Condition()
        # What to call and when, by a key that is nobody else's.
        self._entries = {}
        self._next = 0.0
        self._is_closed = False
        threading.Thread(
            target=self._work, name="deadlines", daemon=True
        ).start()

    @contextlib.contextmanager
    def watch(
        self, function: Callable[[], float | None], seconds: float
    ) -> Iterator[None]:
        """Calls the function after so many seconds, unless the block ends.

        If it returns a number, it is called again after so many seconds.
        """
        key, end = object(), time.monotonic() + seconds
        with self._changed:
            self._entries[key] = (end, function)
            if end < self._next:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._entries.pop(key, None)

    def _work(self):
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                for key, (end, function) in list(self._entries.items()):
                    if end <= now:
                        del self._entries[key]
                        again = function()
                        if again is not None:
                            self._entries[key] = (now + again, function)
                ends = [end for end, _ in self._entries.values()]
                self._next = min([now + _MAX_SECONDS, *ends])
                self._changed.wait(self._next - now)

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()


class Threads:
    """Threads that answer calls, which share them with nothing else.

    gRPC waits for a call's message in one of them, for as long as the client
    likes. Here a call may wait for `seconds`, and only for `ARRIVAL_SECONDS`
    when more than `MAX_ARRIVING` wait: clients that send nothing leave threads
    for the others. A call that waits for too long ends with CANCELLED.

    Args:
        count: Of threads, besides those in which calls wait for messages.
        seconds: For which a call may wait for its message.
        deadlines: Calls what ends such a wait.

    Attributes:
        pool: The threads.
    """

    def __init__(self, count: int, seconds: float, deadlines: Deadlines):
        self.pool = futures.ThreadPoolExecutor(count + MAX_ARRIVING)
        self._seconds = seconds
        self._deadlines = deadlines
        self._lock = threading.Lock()
        # When the wait began and what ends it, by a key of the call's own.
        self._arriving: dict[object, tuple[float, Callable]] = {}

    def unary(
        self, function: Callable[..., Any], request_type: type[Message]
    ) -> grpc.RpcMethodHandler:
        """Returns the handler of `function(request, context) -> response`."""

        def answer(messages, context):
            try:
                content = self._message(messages, context)
                return function(_parsed(request_type, content), context)
            except StatusError as error:
                context.abort(error.code, _cut(error.message))

        # One message is the same on the wire as a stream of one, whose wait
        # is ours.
        return grpc.stream_unary_rpc_method_handler(
            self._here(answer), response_serializer=_serialize
        )

    def stream(
        self, function: Callable[..., Any], request_type: type[Message]
    ) -> grpc.RpcMethodHandler:
        """Returns the handler of a generator of responses."""

        def answer(messages, context):
            try:
                content = self._message(messages, context)
                yield from function(_parsed(request_type, content), context)
            except StatusError as error:
                context.abort(error.code, _cut(error.message))

        return grpc.stream_stream_rpc_method_handler(
            self._here(answer), response_serializer=_serialize
        )

    def _here(self, answer):
        """Has gRPC call the function in these threads."""
        answer.experimental_thread_pool = self.pool
        return answer

    def _message(self, messages, context):
        """Returns the call's message, as bytes.

        Whether another one follows is not looked at, as gRPC does not either:
        that would cost as much again.

        Raises:
            StatusError: The client has sent no message.
            grpc.RpcError: The call has ended.
        """
        key = object()
        with self._lock:
            self._arriving[key] = (time.monotonic(), context.cancel)
        try:
            with self._deadlines.watch(
                functools.partial(self._end_long_waits, key),
                min(self._seconds, ARRIVAL_SECONDS),
            ):
                content = next(messages, None)
        finally:
            with self._lock:
                self._arriving.pop(key, None)
        if content is None:
            raise StatusError(
                grpc.StatusCode.UNIMPLEMENTED,
                "The call requires exactly one request message.",
            )
        return content

    def _end_long_waits(self, key):
        """Returns after how many seconds to look at the key again, if ever."""
        now = time.monotonic()
        with self._lock:
            most = self._seconds
            if len(self._arriving) > MAX_ARRIVING:
                most = min(most, ARRIVAL_SECONDS)
            late = [
                other
                for other, (start, _) in self._arriving.items()
                if now - start >= most
            ]
            ends = [self._arriving.pop(other)[1] for other in late]
            start, _ = self._arriving.get(key, (None, None))
        for end in ends:
            end()
        if start is None:
            return None
        return min(start + self._seconds - now, ARRIVAL_SECONDS)


class Handlers(grpc.GenericRpcHandler):
    """Handlers by path, such as "/package.Service/Method"."""

    def __init__(self, handlers: Mapping[str, grpc.RpcMethodHandler]):
        self._handlers = dict(handlers)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """Returns the handler of the path, None if there is none."""
        return self._handlers.get(handler_call_details.method)


def _parsed(request_type, content):
    # Not by gRPC, which answers INTERNAL and writes a traceback.
    try:
        return request_type.FromString(content)
    except DecodeError:
        raise invalid(
            f"The request is no {request_type.DESCRIPTOR.name}."
        ) from None


def _serialize(response):
    return response.SerializeToString()


def _cut(message):
    if len(message) <= MAX_MESSAGE:
        return message
    return message[:MAX_MESSAGE] + "...TRUNCATED"
