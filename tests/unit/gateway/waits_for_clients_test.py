"""Tests of when a connection is cut: real ones, and an application of bytes."""

import asyncio
import contextlib
import socket
import time
import unittest

import uvicorn
from absl.testing import absltest
from kerasrnn_serving.gateway.asgi import PART
from kerasrnn_serving.gateway.asgi import read_body
from kerasrnn_serving.gateway.asgi import send_reply
from kerasrnn_serving.gateway.protocol import BoundedProtocol
from kerasrnn_serving.gateway.server import listen
from kerasrnn_serving.gateway.settings import Settings

LARGE = 1_000_000
END = b"0\r\n\r\n"
GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"


class WaitsForClientsTest(unittest.IsolatedAsyncioTestCase):
    async def start(self, **bounds):
        """Starts a server, and connects to it."""
        bounds = {"request_seconds": 60, "write_seconds": 60} | bounds
        settings = Settings(**bounds)
        config = uvicorn.Config(
            self.answer,
            http=BoundedProtocol.bounded(settings),
            interface="asgi3",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=settings.idle_seconds,
        )
        config.load()
        self.server = uvicorn.Server(config)
        self.server.lifespan = config.lifespan_class(config)
        listener = listen("127.0.0.1", 0)
        await self.server.startup(sockets=[listener])
        self.addAsyncCleanup(self.server.shutdown, sockets=[listener])
        self.client = socket.socket()
        self.addCleanup(self.client.close)
        # What a client has not asked for should lie in the server.
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
        self.client.connect(listener.getsockname())
        self.client.setblocking(False)
        await self.until(lambda: self.connection)
        self.since = time.monotonic()

    async def read(self, count):
        async with asyncio.timeout(60):
            loop = asyncio.get_running_loop()
            return await loop.sock_recv(self.client, count)

    async def read_reply(self, end):
        received = b""
        while not received.endswith(end):
            part = await self.read(PART)
            self.assertTrue(part, "the connection was closed")
            received += part

    @property
    def connection(self):
        """The server's side of the connection; None once that is closed."""
        return next(iter(self.server.server_state.connections), None)

    @property
    def unread(self):
        return self.connection.transport.get_write_buffer_size()

    async def answer(self, scope, receive, send):
        """Replies to /ok, /refused, /large and /rest?BYTES."""
        path = scope["path"]
        if path == "/refused":
            await send_reply(send, 401, b"refused")
            return
        await read_body(scope, receive, 1000)
        if path in ("/ok", "/large"):
            size = LARGE if path == "/large" else 2
            await send_reply(send, 200, b"x" * size)
            return
        await send({"type": "http.response.start", "status": 200})
        while not self.unread:
            await send(body(PART // 4, more=True))
        # No room is left: the last of the reply waits here.
        await send(body(int(scope["query_string"]), more=False))

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)

    async def until_ended(self):
        await self.until(
            lambda: (
                self.connection.cycle
                and self.connection.cycle.response_complete
            )
        )

    async def assert_cut_after(self, seconds):
        """Waits until the server closes: so long after `since`, or later."""
        await self.until(lambda: self.connection is None)
        taken = time.monotonic() - self.since
        self.assertGreater(taken, 0.7 * seconds)
        self.assertLess(taken, seconds + 20)

    async def ask_again_and_again(self):
        with contextlib.suppress(ConnectionError):
            while True:
                self.client.send(GET % b"ok")
                await asyncio.sleep(0.1)

    async def test_a_reply_is_not_cut_for_an_earlier_one(self):
        await self.start(write_seconds=2)
        self.client.send(GET % b"rest?0")
        await self.until_ended()
        self.assertGreater(self.unread, 0)
        ended = time.monotonic()
        await self.read_reply(END)
        # A moment before the time of the first reply would have been over.
        await asyncio.sleep(ended + 1.5 - time.monotonic())
        self.client.send(GET % b"large")
        await self.until(lambda: self.connection.flow.write_paused)
        await asyncio.sleep(1)
        received = 0
        while received < LARGE:
            part = await self.read(PART)
            self.assertTrue(part, f"cut after {received} bytes")
            received += len(part)

    async def test_a_reply_whose_rest_is_not_read_is_cut(self):
        await self.start(write_seconds=1)
        self.client.send(GET % b"rest?0")
        await self.until_ended()
        self.since = time.monotonic()
        await self.assert_cut_after(1)

    async def test_asking_on_is_not_reading(self):
        await self.start(write_seconds=1)
        self.client.send(GET % b"rest?0")
        await self.until_ended()
        self.since = time.monotonic()
        asking = asyncio.create_task(self.ask_again_and_again())
        self.addCleanup(asking.cancel)
        await self.assert_cut_after(1)

    async def test_the_last_of_a_reply_that_was_being_read(self):
        await self.start(write_seconds=1)
        # Little lies in the kernel, so that reading is seen here at once.
        sending = self.connection.transport.get_extra_info("socket")
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**12)
        self.client.send(GET % b"rest?%d" % (PART + 15_000))
        await self.until_ended()
        self.assertTrue(self.connection.flow.write_paused)
        # It reads until the server would write on, and then no more.
        while self.unread > PART // 4:
            await self.read(2**12)
            await asyncio.sleep(0.05)
        self.since = time.monotonic()
        await asyncio.sleep(0.2)
        self.assertGreater(self.unread, 0)
        await self.assert_cut_after(1)

    async def test_a_refused_body_that_comes_leaves_an_idle_connection(self):
        await self.start(request_seconds=1, idle_seconds=3)
        self.client.send(POST % b"refused")
        await self.read_reply(b"refused")
        for part in (b"abc", b"def"):
            self.client.send(part)
            await asyncio.sleep(0.3)
        self.client.send((POST % b"ok")[:10])
        # The time for the request that was refused is over by then.
        await asyncio.sleep(0.7)
        self.client.send((POST % b"ok")[10:] + b"abcdef")
        await self.read_reply(b"xx")
        self.client.send(POST % b"refused")
        await self.read_reply(b"refused")
        self.client.send(b"abcdef")
        self.since = time.monotonic()
        await self.assert_cut_after(3)

    async def test_each_request_has_its_time(self):
        await self.start(request_seconds=1)
        self.client.send(POST % b"refused")
        await self.read_reply(b"refused")
        await asyncio.sleep(0.6)
        # The rest of one, and not all of another.
        self.client.send(b"abcdef" + POST % b"ok" + b"abc")
        self.since = time.monotonic()
        await self.assert_cut_after(1)

    async def test_a_refused_body_that_does_not_come(self):
        await self.start(request_seconds=1)
        self.client.send(POST % b"refused")
        await self.read_reply(b"refused")
        self.client.send(b"abc")
        await self.assert_cut_after(1)

    async def test_a_request_that_begins_during_another_must_end_too(self):
        for part in (POST % b"ok" + b"abc", (POST % b"ok")[:10]):
            with self.subTest(part):
                await self.start(request_seconds=1)
                self.client.send(GET % b"ok" + part)
                self.since = time.monotonic()
                await self.read_reply(b"xx")
                await self.assert_cut_after(1)


def body(size, more):
    """Returns the message that sends so many bytes of a reply."""
    return {
        "type": "http.response.body",
        "body": b"x" * size,
        "more_body": more,
    }


if __name__ == "__main__":
    absltest.main()
