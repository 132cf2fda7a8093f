"""What the services of the local server share: how calls end."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message import Message

from kerasrnn.errors import PicklableError

# The server's own limit on an error's text.
MAX_MESSAGE = 1024


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


def unary(
    function: Callable[..., Any], request_type: type[Message]
) -> grpc.RpcMethodHandler:
    """Returns the handler of `function(request, context) -> response`."""

    def answer(content, context):
        try:
            return function(_parsed(request_type, content), context)
        except StatusError as error:
            context.abort(error.code, _cut(error.message))

    return grpc.unary_unary_rpc_method_handler(
        answer, response_serializer=_serialize
    )


def stream(
    function: Callable[..., Any], request_type: type[Message]
) -> grpc.RpcMethodHandler:
    """Returns the handler of a generator of responses."""

    def answer(content, context):
        try:
            yield from function(_parsed(request_type, content), context)
        except StatusError as error:
            context.abort(error.code, _cut(error.message))

    return grpc.unary_stream_rpc_method_handler(
        answer, response_serializer=_serialize
    )


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
