"""How a channel to a server is set up: TLS, retries, message sizes."""

import dataclasses
import functools
import json
import numbers
from typing import Any

import grpc
from grpc import aio

from kerasrnn.errors import UserError
from kerasrnn.foundation.constraints import SECONDS
from kerasrnn.foundation.paths import local_path
from kerasrnn.foundation.phrases import shown
from kerasrnn_serving.client._connection import address as addresses

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
    # What is larger than this buffer would not be sent again: 32 rows of
    # 4,096 characters of four bytes, and their tokens.
    ("grpc.per_rpc_retry_buffer_size", 8 * 2**20),
    # A server that restarts is found again soon.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # In spite of its name this is how long a connection may take to come
    # about, TLS and the server's greeting included. A far or busy server
    # needs more than a moment; one whose packets are swallowed is given up
    # four times before half of the default deadline is over.
    ("grpc.min_reconnect_backoff_ms", 5000),
    # A second channel is another connection, not the one that stalls.
    ("grpc.use_local_subchannel_pool", 1),
)
_UNLIMITED = -1
# Milliseconds between pings at least.
_SHORTEST_KEEPALIVE = 10_000
_LONGEST_KEEPALIVE = 2**31 - 1


def _keepalive(timeout: float) -> tuple[tuple[str, int], ...]:
    """Returns how dead connections of many addresses are found.

    That is what gRPC pings for; for the connection of one address the client
    does more (see `connection`). A server that has sent nothing for long takes
    three pings of five minutes, and ends the connection and its calls at the
    next one ("too many pings"); so no more than three come in a call's time.
    """
    time = max(int(1000 * timeout / 3), _SHORTEST_KEEPALIVE)
    time = min(time, _LONGEST_KEEPALIVE)
    return (
        ("grpc.keepalive_time_ms", time),
        ("grpc.keepalive_timeout_ms", time // 2),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tls:
    """How client and server trust each other.

    Attributes:
        ca: PEM file with the certificates that signed the server's; None uses
            gRPC's own list of public ones.
        certificate: PEM file with the client's certificate, for mutual TLS.
        key: PEM file with its key.
        server_name: Name in the server's certificate, if it is not the address.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
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


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return local_path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"Cannot read {path}: {error.strerror}. Expected a PEM file."
        ) from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Where a server is, and how it is spoken to.

    Attributes:
        address: host:port, or any name that gRPC resolves, such as
            dns:///models:8500, over whose addresses calls go in turn.
        model: The model's name, for messages.
        timeout: Seconds that a call may take, repeats included.
        tls: Of an encrypted channel; None is not encrypted.
        token: Sent as a bearer token with each call; needs `tls`.
        max_message_bytes: Size of a message, either way; None is no limit
            (gRPC's own 4 MiB would be too few for some replies).

    Raises:
        UserError: A setting cannot work, or a file of `tls` cannot be read.
    """

    address: str
    model: str
    timeout: float
    tls: Tls | None = None
    token: str | None = None
    max_message_bytes: int | None = None

    def __post_init__(self) -> None:
        addresses.check(self.address)
        if not (
            isinstance(self.timeout, numbers.Real) and self.timeout in SECONDS
        ):
            raise UserError(
                f"timeout must be a number {SECONDS}, in seconds, not "
                f"{shown(self.timeout)}."
            )
        # Clocks take no fractions.
        object.__setattr__(self, "timeout", float(self.timeout))
        if self.token is not None and self.tls is None:
            raise UserError(
                "A token is sent over TLS only, since anyone could read it "
                "otherwise: give tls as well."
            )
        if self.max_message_bytes is not None and not (
            isinstance(self.max_message_bytes, numbers.Integral)
            and 0 < self.max_message_bytes < 2**31
        ):
            raise UserError(
                "max_message_bytes must be a whole number from 1 to "
                f"{2**31 - 1}, or None for no limit, not "
                f"{shown(self.max_message_bytes)}."
            )
        # Files that cannot be read are told at once.
        _ = self._credentials

    @functools.cached_property
    def _credentials(self) -> grpc.ChannelCredentials | None:
        return None if self.tls is None else self.tls.credentials()

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What is sent along with each call."""
        if self.token is None:
            return ()
        return (("authorization", f"Bearer {self.token}"),)

    def open(self) -> grpc.Channel:
        """Returns a new channel, for threads."""
        if self._credentials is None:
            return grpc.insecure_channel(self.address, self._options())
        return grpc.secure_channel(
            self.address, self._credentials, self._options()
        )

    def open_async(self) -> aio.Channel:
        """Returns a new channel, for the event loop that runs."""
        if self._credentials is None:
            return aio.insecure_channel(self.address, self._options())
        return aio.secure_channel(
            self.address, self._credentials, self._options()
        )

    def _options(self) -> list[tuple[str, Any]]:
        limit = self.max_message_bytes or _UNLIMITED
        options: list[tuple[str, Any]] = [
            *_OPTIONS,
            *_keepalive(self.timeout),
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", limit),
        ]
        if addresses.is_loopback(self.address):
            # A proxy that the environment names has a loopback of its own.
            options.append(("grpc.enable_http_proxy", 0))
        if self.tls is not None and self.tls.server_name:
            options.append(
                ("grpc.ssl_target_name_override", self.tls.server_name)
            )
        return options
