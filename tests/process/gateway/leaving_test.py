"""Clients that leave after they have begun to ask on: their work ends."""

import contextlib
import json
import pathlib
import random
import socket
import struct
import tempfile

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.servers.fake_servable import FakeServer
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.held_calls import HeldCalls

# As `curl --http2` asks.
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Closes with a reset.
RESET = struct.pack("ii", 1, 0)


def post(headers=b"", **fields):
    body = json.dumps(fields).encode()
    return (
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n%s"
        b"Content-Length: %d\r\n\r\n%s" % (headers, len(body), body)
    )


class LeavingTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enter_context(tempfile.TemporaryDirectory())
        server = FakeServer(pathlib.Path(folder))
        self.addCleanup(server.stop)
        self.gateway = GatewayProcess(server.target)
        self.addCleanup(self.gateway.close)
        self.held = HeldCalls(server.loaded[1])
        self.addCleanup(self.held.release)

    def test_those_that_had_begun_to_ask_on(self):
        chance = random.Random(0)
        following = [b"", b"G", GET, 3 * GET, GET + b"G", post(prompt="b")]
        for _ in range(50 if FULL else 6):
            following.append((2000 * GET)[: chance.randrange(2**16)])
        for number, data in enumerate(following):
            user = str(number)
            headers = chance.choice((b"", UPGRADE))
            place = chance.randrange(len(data) + 1)
            connection = self.gateway.connect(
                post(headers, prompt="a", user=user) + data[:place]
            )
            self.held.wait_for_calls(1)
            connection.sendall(data[place:])
            if chance.random() < 0.5:
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, RESET
                )
            connection.close()
            line = self.gateway.wait_for_line(user=user)
            self.assertTrue(line["left"])
        self.assertEqual(self.gateway.metric("completions_running"), 0)
        self.assertEqual(self.gateway.metric("backend_calls_running"), 0)

    def test_those_that_ask_for_much_before_their_reply_has_come(self):
        connection = self.gateway.connect(post(prompt="a", user="much"))
        self.held.wait_for_calls(1)
        with contextlib.suppress(ConnectionError):
            while True:
                connection.sendall(1000 * GET)
        self.assertTrue(self.gateway.wait_for_line(user="much")["left"])

    def test_those_that_stay_are_answered_in_their_order(self):
        connection = self.gateway.connect(
            post(prompt="a", max_tokens=1)
            + 100 * GET
            + post(prompt="a", max_tokens=2)[:-1]
        )
        self.held.wait_for_calls(1)
        connection.sendall(b"}")
        self.held.release()
        received = b""
        while b'"completion_tokens":2' not in received:
            part = connection.recv(2**16)
            self.assertNotEmpty(part, received)
            received += part
        parts = received.split(b"HTTP/1.1 200 OK")
        self.assertLen(parts, 103)
        self.assertIn(b'"completion_tokens":1', parts[1])
        for part in parts[2:-1]:
            self.assertIn(b'{"status":"ok"}', part)


if __name__ == "__main__":
    absltest.main()
