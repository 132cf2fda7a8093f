"""One gRPC channel to a model server: deadlines, retries, TLS, messages.

A call that cannot be sent is retried by gRPC's own policy, with throttling.
A reply that breaks off or stalls is asked for once more, over a connection
of its own, which is safe since all calls are pure functions; each attempt
has its own share of the deadline.
"""

import contextlib
import dataclasses
import json
import threading
import time
from pathlib import Path

import grpc

from kerasrnn.errors import UserError
from kerasrnn_serving import serving_error

_SERVICES = (
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
)
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": service} for service in _SERVICES],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # A server that fails most calls is soon sent each of them once only.
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}
_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that restarts is found again soon.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A second channel is another connection, not the one that stalls.
    ("grpc.use_local_subchannel_pool", 1),
)
# Repeats that may be had at a stretch; each success gives back a tenth.
_REPEATS = 10.0
_REPEAT_RATIO = 0.1
# What gRPC says of a connection that broke.
_SIGNS_OF_A_LOST_CONNECTION = (
    "broken pipe",
    "closed",
    "goaway",
    "reset",
    "rst_stream",
    "stream removed",
)
_BROKEN_OFF = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tls:
    """How to trust the server, and to be trusted by it.

    Attributes:
        ca: File with the PEM certificates that sign the server's; None
            takes gRPC's own list of public ones.
        certificate: File with the client's PEM certificate, of mutual TLS.
        key: File with its PEM key.
        server_name: Name that the server's certificate has, where it is
            not the address.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    server_name: str | None = None

    def __post_init__(self):
        if (self.certificate is None) != (self.key is None):
            raise UserError(
                "Mutual TLS needs both the client's certificate and its key."
            )

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns gRPC's credentials.

        Raises:
            UserError: A file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            _read(self.ca), _read(self.key), _read(self.certificate)
        )


def _read(path):
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"Cannot read {path}: {error.strerror}. Expected a PEM file."
        ) from None


class Transport:
    """Sends messages to one target; calls may come from many threads.

    Args:
        target: host:port, or any name that gRPC resolves, such as
            dns:///models:8500, over whose addresses calls go in turn.
        model: The model's name, for messages.
        timeout: Seconds that a call may take, repeats included.
        tls: Of an encrypted channel; None is not encrypted.
        token: Sent as a bearer token with each call; needs `tls`.
    """

    def __init__(
        self,
        target: str,
        model: str,
        timeout: float,
        tls: Tls | None = None,
        token: str | None = None,
    ):
        if not timeout > 0:
            raise UserError(f"timeout must be above 0 seconds, not {timeout}.")
        if token is not None and tls is None:
            raise UserError(
                "A token is sent over TLS only, since anyone could read it "
                "otherwise: give tls as well."
            )
        self.target = target
        self.model = model
        self._timeout = timeout
        self._metadata = ()
        if token is not None:
            self._metadata = (("authorization", f"Bearer {token}"),)
        self._connect = lambda: _Connection(_channel(target, tls))
        self._lock = threading.Lock()
        self._connection = self._connect()
        self._closed = False
        self._repeats = _REPEATS
        # Once a server has answered, calls wait for it to come back.
        self._answered = False

    def call(self, path: str, request, response_type):
        """Sends one message and returns the answer.

        Args:
            path: Such as `wire.PREDICT`.
            request: The message.
            response_type: The answer's class.

        Raises:
            ServingError: The server refused it, or none answered in time.
        """
        end = time.monotonic() + self._timeout
        failed = None
        repeats = False
        while True:
            left = max(end - time.monotonic(), 0)
            with self._use(failed) as connection:
                last = repeats or not self._may_repeat()
                share = left if last else left / 2
                try:
                    return self._attempt(
                        connection.channel, path, request, response_type, share
                    )
                except grpc.RpcError as error:
                    if last or not _worth_repeating(error):
                        raise self._failure(error) from None
                    if _lost_connection(error):
                        failed = connection
            with self._lock:
                self._repeats -= 1
            repeats = True

    def _may_repeat(self):
        with self._lock:
            return self._repeats >= 1

    def _attempt(self, channel, path, request, response_type, seconds):
        method = channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )
        response = method(
            request,
            timeout=seconds,
            metadata=self._metadata,
            wait_for_ready=self._answered,
        )
        with self._lock:
            self._answered = True
            self._repeats = min(self._repeats + _REPEAT_RATIO, _REPEATS)
        return response

    @contextlib.contextmanager
    def _use(self, failed):
        """Yields a connection other than the failed one, open meanwhile.

        One that is given up is closed when the last call on it has ended.
        """
        with self._lock:
            if self._closed:
                raise UserError("The client is closed; make another one.")
            if failed is self._connection:
                self._connection = self._connect()
            connection = self._connection
            connection.users += 1
        self._close_unused(failed)
        try:
            yield connection
        finally:
            with self._lock:
                connection.users -= 1
            self._close_unused(connection)

    def _close_unused(self, connection):
        with self._lock:
            keep = connection in (None, self._connection) or connection.users
        if not keep:
            connection.channel.close()

    def _failure(self, error):
        return serving_error.from_rpc(
            error,
            target=self.target,
            model=self.model,
            timeout=self._timeout,
        )

    def close(self) -> None:
        """Closes the channel; calls that are running fail."""
        with self._lock:
            self._closed = True
        self._connection.channel.close()


@dataclasses.dataclass(eq=False)
class _Connection:
    """A channel, and how many calls use it."""

    channel: grpc.Channel
    users: int = 0


def _channel(target, tls):
    options = list(_OPTIONS)
    if tls is None:
        return grpc.insecure_channel(target, options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return grpc.secure_channel(target, tls.credentials(), options)


def _lost_connection(error):
    """Whether the connection, not the server, is what failed the call.

    gRPC connects again by itself, but a call that is sent right after a
    break may still go out over what is broken.
    """
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return True
    details = (error.details() or "").lower()
    return any(sign in details for sign in _SIGNS_OF_A_LOST_CONNECTION)


def _worth_repeating(error):
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return True
    if code not in _BROKEN_OFF:
        return False
    # Where no connection came about, gRPC has tried as often as it should.
    return not (
        code == grpc.StatusCode.UNAVAILABLE
        and "connect" in details.lower()
        and "reset" not in details.lower()
    )
