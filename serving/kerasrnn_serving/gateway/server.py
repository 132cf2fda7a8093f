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

import uvicorn
from starlette.types import ASGIApp

from kerasrnn.errors import UserError
from kerasrnn_serving.gateway.connections import SPARE
from kerasrnn_serving.gateway.protocol import BoundedProtocol
from kerasrnn_serving.gateway.protocol import protocol_factory
from kerasrnn_serving.gateway.settings import Settings

_BACKLOG = 1024
# For the calls of the model's server, modules, logs and the like.
_OTHER_FILES = 128
# So long clients whose requests are given up have to read that they are.
_LAST_SECONDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """Drains on the first signal, and ends normally; a second one hurries."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float):
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._hurried = asyncio.Event()

    async def shutdown(
        self, sockets: list[socket.socket] | None = None
    ) -> None:
        """Lets requests end; those that do not are told that they will not.

        uvicorn's own limit of time leaves their connections as they are.
        """
        ended = asyncio.create_task(super().shutdown(sockets))
        hurried = asyncio.create_task(self._hurried.wait())
        await asyncio.wait(
            (ended, hurried),
            timeout=self._drain_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        hurried.cancel()
        self._give_up()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended, _LAST_SECONDS)

    def _give_up(self):
        connections = cast(set[BoundedProtocol], self.server_state.connections)
        for connection in list(connections):
            connection.give_up()
        for task in list(self.server_state.tasks):
            task.cancel()

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
        if self.should_exit:
            self._hurried.set()
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
        http=cast(Any, protocol_factory(settings, tls)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=trusted_proxies is not None,
        forwarded_allow_ips=trusted_proxies,
        backlog=_BACKLOG,
        timeout_keep_alive=settings.idle_seconds,
    )
    # What strangers send wrong is none of the operator's business.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = _Server(config, settings.drain_seconds)
    serving = asyncio.create_task(server.serve([listener]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.01)
    if server.started:
        when_ready()
    await serving
