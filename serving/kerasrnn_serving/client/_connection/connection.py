"""A channel that is in use, and whether what is at its other end is there."""

import dataclasses
import enum
from typing import Any
from typing import Generic
from typing import TypeVar

import grpc
from grpc import aio

from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn_serving.client._connection.conversation import Call
from kerasrnn_serving.client._connection.failures import is_unreachable

# Any answer will do, also that there is no such service.
PROBE = Call(
    api.HEALTH_CHECK,
    messages.HealthCheckRequest(),
    messages.HealthCheckResponse,
)
# Seconds at most that a connection may be quiet before it is asked, and that
# it may then take to answer.
_LONGEST_QUIET = 2.0
_LONGEST_PROBE = 5.0

Channel = TypeVar("Channel", grpc.Channel, aio.Channel)


@dataclasses.dataclass(eq=False)
class Connection(Generic[Channel]):
    """A channel, and what is known of it.

    Attributes:
        channel: What gRPC makes calls over.
        replaces_another: Whether it came where one had failed.
        users: Calls that are running.
        answers: Calls that were answered.
        given_up: Whether its calls were ended, to be made over another one.
        trouble: Why no server is reached; None where one is, or where none
            was missed.
    """

    channel: Channel
    replaces_another: bool = False
    users: int = 0
    answers: int = 0
    given_up: bool = False
    trouble: grpc.RpcError | None = None
    _methods: dict[str, Any] = dataclasses.field(default_factory=dict)

    def method(self, call: Call[Any]) -> Any:
        """Returns the function that makes such a call, made once."""
        if call.path not in self._methods:
            self._methods[call.path] = self.channel.unary_unary(
                call.path,
                request_serializer=type(call.request).SerializeToString,
                response_deserializer=call.response_type.FromString,
            )
        return self._methods[call.path]

    @property
    def can_be_given_up(self) -> bool:
        """Whether another one may do better: not where none has so far."""
        return self.answers > 0 or not self.replaces_another


class Finding(enum.Enum):
    """What an attempt to reach the server over a connection has shown."""

    ALIVE = enum.auto()
    NO_SERVER = enum.auto()
    DEAD = enum.auto()


def finding(error: grpc.RpcError | None) -> Finding:
    """Returns what the outcome of `PROBE` shows.

    Args:
        error: That it ended with; None where it was answered.
    """
    if error is None:
        return Finding.ALIVE
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return Finding.DEAD
    if is_unreachable(error):
        return Finding.NO_SERVER
    # Whatever it says, somebody says it. Where the connection has broken,
    # its calls have been told as well.
    return Finding.ALIVE


def quiet_seconds(timeout: float) -> float:
    """Returns how long a connection may be quiet, for calls of `timeout`."""
    return min(timeout / 10, _LONGEST_QUIET)


def probe_seconds(timeout: float) -> float:
    """Returns how long a connection may take to answer `PROBE`."""
    return min(timeout / 5, _LONGEST_PROBE)
