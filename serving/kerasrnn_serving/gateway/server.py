"""An HTTP server for the application that bounds what clients may keep busy.

uvicorn, which waits for ever for a request's end and for a reader: here
both have a limit, after which the connection is cut.
"""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import ssl
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

from kerasrnn.errors import UserError
from kerasrnn_serving.gateway.asgi import BUSY
from kerasrnn_serving.gateway.connections import SPARE
from kerasrnn_serving.gateway.connections import Connections
from kerasrnn_serving.gateway.settings import Settings

_BACKLOG = 1024
# For the calls of the model's server, modules, logs and the like.
_OTHER_FILES = 128
_SEND_BUFFER = 2**17
# Of a reply, so much may wait here, and a quarter of it when more is written:
# whoever has read the difference has got on.
_WAITING = 2**16
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class BoundedProtocol(H11Protocol):
    """One connection that must send, and must read.

    Attributes:
        settings: Says for how long it may not; see `bounded`.
        others: All connections of its server, and this one.
    """

    settings: Settings
    others: Connections["BoundedProtocol"]

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._noted: RequestResponseCycle | None = None
        # The request whose headers have come, and whose body has not.
        self._unfinished: RequestResponseCycle | None = None

    @classmethod
    def bounded(cls, settings: Settings) -> type["BoundedProtocol"]:
        """Returns the class with its bounds, as uvicorn wants it."""
        others = Connections["BoundedProtocol"](settings.max_connections)
        fields = {"settings": settings, "others": others}
        return type(cls.__name__, (cls,), fields)

    def connection_made(self, transport: Any) -> None:  # noqa: D102
        super().connection_made(transport)
        # Else megabytes wait in the kernel for a reader that does not come.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER
        )
        # Encrypted, the default is eight times as much.
        transport.set_write_buffer_limits(_WAITING)
        self._start("request", self.settings.request_seconds)
        if (superfluous := self.others.opened(self)) is not None:
            superfluous.transport.abort()

    def data_received(self, data: bytes) -> None:  # noqa: D102
        super().data_received(data)
        self._note_request()
        self._note_arrival()

    def pause_writing(self) -> None:  # noqa: D102
        super().pause_writing()
        self._start("write", self.settings.write_seconds)

    def resume_writing(self) -> None:  # noqa: D102
        super().resume_writing()
        self._stop("write")
        self.transport.set_write_buffer_limits(_WAITING)
        if self.cycle.response_complete:
            self._await_reading()

    def on_response_complete(self) -> None:  # noqa: D102
        super().on_response_complete()
        self._note_request()
        # Of the next request, what came during this one is looked at now.
        self._note_arrival()
        self._await_reading()

    def connection_lost(  # noqa: D102
        self, exc: Exception | None
    ) -> None:
        self.others.closed(self)
        for name in list(self._timers):
            self._stop(name)
        super().connection_lost(exc)

    def _note_request(self):
        """Counts a request that has come, before the application sees it."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.others.ended(self)
        elif self.cycle is not self._noted:
            self._noted = self.cycle
            scope = cast(dict[str, Any], self.scope)
            scope[BUSY] = not self.others.began(self)

    def _note_arrival(self):
        """Times a request that is coming, from its first byte to its last."""
        state = self.conn.their_state
        in_body = self.cycle if state is h11.SEND_BODY else None
        # The rest of a body that was refused is no part of what follows it.
        if self._unfinished not in (None, in_body):
            self._stop("request")
        self._unfinished = in_body
        begun = state is h11.IDLE and self.conn.trailing_data[0]
        if in_body or begun:
            self._unset_keepalive_if_required()
            self._start("request", self.settings.request_seconds)
            return
        self._stop("request")
        idle = state is h11.IDLE and not self.transport.is_closing()
        if idle and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _await_reading(self):
        """Times the reading of what is left of a reply that has ended.

        Closing would wait for it, and whatever follows it does.
        """
        left = self.transport.get_write_buffer_size()
        if left and not self.flow.write_paused:
            # Pauses now, and resumes once all of it has been read.
            self.transport.set_write_buffer_limits(high=left - 1, low=0)

    def _start(self, name, seconds):
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(
                seconds, self._time_out, name
            )

    def _stop(self, name):
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _time_out(self, name):
        del self._timers[name]
        if name == "request" or self.transport.get_write_buffer_size():
            self.transport.abort()


class _Server(uvicorn.Server):
    """Drains on the first signal, and ends normally; a second one hurries."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _stop(self):
        self.force_exit = self.should_exit
        self.should_exit = True


def allow_files(max_connections: int) -> None:
    """Has this process open as many files as it has connections, and more.

    Raises:
        UserError: The system does not let it.
    """
    # asyncio accepts all that wait before the first of them is looked at.
    others = 2 * SPARE + _BACKLOG + _OTHER_FILES
    wanted = max_connections + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        raise UserError(
            f"--max_connections={max_connections} takes {wanted} open files, "
            f"and {hard} are allowed. Raise the limit (`ulimit -n {wanted}`, "
            "or LimitNOFILE of a service), or give a --max_connections of at "
            f"most {max(hard - others, 1)}."
        ) from None


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises:
        UserError: The address is taken or cannot be listened on.
    """
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:
        # Of a name that cannot be one, such as a..b.
        reason = getattr(error, "strerror", "the host is no name")
        raise UserError(
            f"Cannot listen on {host}:{port}: {reason}. Give an "
            "address of this machine with --host, and a free --port."
        ) from None
    return listener


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Returns what encrypts connections.

    Raises:
        UserError: The files are not a certificate and its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            f"Cannot use {certificate} and {key} for HTTPS: "
            f"{error.strerror or error}. Give PEM files of a certificate, "
            "with those that sign it, and of its key."
        ) from None
    return context


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    settings: Settings,
    *,
    tls: ssl.SSLContext | None = None,
    trusted_proxies: str | None = None,
    when_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serves until SIGTERM or SIGINT, then lets requests end.

    Args:
        app: What answers.
        listener: Where; it is closed.
        settings: Bounds.
        tls: Of HTTPS; None is plain HTTP.
        trusted_proxies: Addresses, separated by commas, whose headers say
            which client they speak for.
        when_ready: Called once it answers.
    """
    config = uvicorn.Config(
        app,
        http=BoundedProtocol.bounded(settings),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=trusted_proxies is not None,
        forwarded_allow_ips=trusted_proxies,
        backlog=_BACKLOG,
        timeout_keep_alive=settings.idle_seconds,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    # What strangers send wrong is none of the operator's business.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config.load()
    config.ssl = tls
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.01)
    if server.started:
        when_ready()
    await serving
