"""A channel that is in use, and the functions that make calls over it."""

import dataclasses
from typing import Any

from kerasrnn_serving.exchange import Call


@dataclasses.dataclass(eq=False)
class Connection:
    """A channel, and how many calls use it.

    Attributes:
        channel: A `grpc.Channel`, or one of `grpc.aio`.
        users: Calls that are running.
    """

    channel: Any
    users: int = 0
    _methods: dict = dataclasses.field(default_factory=dict)

    def method(self, call: Call):
        """Returns the function that makes such a call, made once."""
        if call.path not in self._methods:
            self._methods[call.path] = self.channel.unary_unary(
                call.path,
                request_serializer=type(call.request).SerializeToString,
                response_deserializer=call.response_type.FromString,
            )
        return self._methods[call.path]
