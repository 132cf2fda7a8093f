"""One connection of the gateway's, with bounds on what it may keep busy."""

import asyncio
import socket
import ssl
from asyncio import sslproto
from collections.abc import Callable
from typing import Any
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

from kerasrnn_serving.gateway.asgi import BUSY
from kerasrnn_serving.gateway.connections import Connections
from kerasrnn_serving.gateway.settings import Settings

_SEND_BUFFER = 2**17
# Of a reply, so much may wait here, and a quarter of it when more is written:
# whoever has read the difference has got on.
_WAITING = 2**16
# Of the requests that follow the one in progress, as many bytes may wait here.
_ASKED_ON = 2**16
# Of a request: what h11 reads next begins another, or another protocol.
_ALL_HAS_COME = (h11.DONE, h11.MIGHT_SWITCH_PROTOCOL)


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

    def accepted(self, transport: asyncio.Transport) -> None:
        """Counts and times the connection, whose handshake may be to come."""
        self.transport = transport
        # Where uvicorn finds whom to close when it shuts down.
        self.connections.add(self)
        self._start("request", self.settings.request_seconds)
        if (superfluous := self.others.opened(self)) is not None:
            superfluous.transport.abort()

    def gone(self) -> None:
        """Ends that, whether or not hands were shaken."""
        self.connections.discard(self)
        self.others.closed(self)
        for name in list(self._timers):
            self._stop(name)

    def give_up(self) -> None:
        """Cuts the connection, if its client could be told nothing."""
        if self.flow is None or self.flow.write_paused:
            self.transport.abort()

    def connection_made(self, transport: Any) -> None:  # noqa: D102
        if self.transport is None:
            self.accepted(transport)
        super().connection_made(transport)
        # Else megabytes wait in the kernel for a reader that does not come.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER
        )
        # Encrypted, the default is eight times as much.
        transport.set_write_buffer_limits(_WAITING)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        super().data_received(data)
        self._note_request()
        self._note_arrival()

    def handle_events(self) -> None:  # noqa: D102
        super().handle_events()
        if self.conn.their_state not in _ALL_HAS_COME:
            return
        # Where more comes before the reply, uvicorn reads no further, and does
        # not see its client leave.
        if len(self.conn.trailing_data[0]) > _ASKED_ON:
            self.transport.abort()
        else:
            self.flow.resume_reading()

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

    def send_400_response(self, msg: str) -> None:  # noqa: D102
        if self.cycle and not self.cycle.response_complete:
            # Whoever works at the reply is told that its client has gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            # A reply has begun, and HTTP has no room for another.
            self.transport.abort()

    def connection_lost(  # noqa: D102
        self, exc: Exception | None
    ) -> None:
        self.gone()
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


class EncryptedProtocol(sslproto.SSLProtocol):
    """A connection of HTTPS, which is bounded from before its handshake.

    With the `ssl` of `create_server`, asyncio tells nobody of a connection
    until hands are shaken: those that never do it would count nowhere.

    Args:
        inner: What is told of it; has what was decrypted.
        tls: How to encrypt.
    """

    def __init__(self, inner: BoundedProtocol, tls: ssl.SSLContext):
        options: dict[str, Any] = {
            "waiter": None,
            "server_side": True,
            "ssl_handshake_timeout": inner.settings.request_seconds,
            # In which a client has to read what is left, and to say so.
            "ssl_shutdown_timeout": inner.settings.write_seconds,
        }
        super().__init__(inner.loop, inner, tls, **options)
        self._inner = inner

    def connection_made(self, transport: Any) -> None:  # noqa: D102
        self._inner.accepted(transport)
        super().connection_made(transport)

    def connection_lost(  # noqa: D102
        self, exc: BaseException | None
    ) -> None:
        self._inner.gone()
        super().connection_lost(exc)


def protocol_factory(
    settings: Settings, tls: ssl.SSLContext | None
) -> Callable[..., asyncio.BaseProtocol]:
    """Returns what makes a connection's protocol, as uvicorn calls it."""
    bounded = BoundedProtocol.bounded(settings)
    if tls is None:
        return bounded

    def encrypted(**arguments):
        return EncryptedProtocol(bounded(**arguments), tls)

    return encrypted
