"""One gRPC channel to a model server: deadlines, retries, TLS, messages.

A call that cannot be sent is retried by gRPC's own policy, with throttling.
A reply that breaks off or stalls is asked for once more, which is safe since
all calls are pure functions; each attempt has its own share of the deadline.
"""

import dataclasses
import json
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
)
# Repeats that may be had at a stretch; each success gives back a tenth.
_REPEATS = 10.0
_REPEAT_RATIO = 0.1
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
        self._channel = _channel(target, tls)
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
        method = self._channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )
        end = time.monotonic() + self._timeout
        may_repeat = self._repeats >= 1
        share = self._timeout / 2 if may_repeat else self._timeout
        try:
            return self._attempt(method, request, share)
        except grpc.RpcError as error:
            if not (may_repeat and _worth_repeating(error)):
                raise self._failure(error) from None
        self._repeats -= 1
        try:
            left = max(end - time.monotonic(), 0)
            return self._attempt(method, request, left)
        except grpc.RpcError as error:
            raise self._failure(error) from None

    def _attempt(self, method, request, seconds):
        response = method(
            request,
            timeout=seconds,
            metadata=self._metadata,
            wait_for_ready=self._answered,
        )
        self._answered = True
        self._repeats = min(self._repeats + _REPEAT_RATIO, _REPEATS)
        return response

    def _failure(self, error):
        return serving_error.from_rpc(
            error,
            target=self.target,
            model=self.model,
            timeout=self._timeout,
        )

    def close(self) -> None:
        """Closes the channel; calls that are running fail."""
        self._channel.close()


def _channel(target, tls):
    options = list(_OPTIONS)
    if tls is None:
        return grpc.insecure_channel(target, options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return grpc.secure_channel(target, tls.credentials(), options)


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
