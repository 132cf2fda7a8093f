"""Whatever strangers do, the gateway's standard error has nothing of it."""

import contextlib
import itertools
import os
import pathlib
import random
import select
import socket
import tempfile

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.servers.fake_servable import FakeServer
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.gateway_process import read_to_end
from helpers.servers.held_calls import HeldCalls
from kerasrnn_serving.gateway.access.key_commands import run_command
from kerasrnn_serving.gateway.access.limits import Limits

# Answered before their bodies are read, with 404, 405, 401, 200 and 200.
EARLY = (
    b"POST /nothing",
    b"POST /healthz",
    b"POST /v1/completions",
    b"GET /healthz",
    b"GET /",
)
HEADERS = (
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 3\r\nConnection: close\r\n",
)
BODIES = (b"zz\r\n", b"3\r\nabcde", b"0\r\n\r\nno request\r\n\r\n", b"abc")


class QuietErrorsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.enter_context(tempfile.TemporaryDirectory())
        )

    def start(self, target, *flags):
        gateway = GatewayProcess(target, *flags)
        self.addCleanup(gateway.close)
        return gateway

    def assert_quiet_so_far(self, gateway):
        errors = gateway.process.stderr
        if select.select([errors], [], [], 0)[0]:
            self.fail(os.read(errors.fileno(), 10_000).decode())

    def assert_quiet(self, gateway):
        gateway.process.terminate()
        self.assertEqual(gateway.process.stderr.read().decode(), "")

    def test_bodies_that_are_malformed_after_their_reply(self):
        keys = self.folder / "keys.json"
        run_command(["add", "alice"], keys, Limits(), None)
        gateway = self.start("127.0.0.1:1", f"--keys={keys}")
        chance = random.Random(0)
        bodies = list(BODIES)
        for _ in range(50 if FULL else 2):
            bodies.append(chance.randbytes(chance.randrange(1, 30)) + b"\r\n")
        for start, headers, body, at_once in itertools.product(
            EARLY, HEADERS, bodies, (False, True)
        ):
            host = b" HTTP/1.1\r\nHost: localhost\r\n"
            head = start + host + headers + b"\r\n"
            connection = gateway.connect(head + body * at_once)
            if not at_once:
                # What follows comes when the reply has.
                self.assertNotEmpty(connection.recv(1000))
                with contextlib.suppress(ConnectionError):
                    connection.sendall(body)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            read_to_end(connection)
            connection.close()
            self.assert_quiet_so_far(gateway)
        self.assertEqual(gateway.request("GET", "/healthz")[0], 200)
        self.assert_quiet(gateway)

    def test_clients_that_leave_while_their_calls_wait_for_a_turn(self):
        server = FakeServer(self.folder)
        self.addCleanup(server.stop)
        gateway = self.start(server.target, "--backend_calls=1")
        held = HeldCalls(server.loaded[1])
        self.addCleanup(held.release)
        body = b'{"prompt": "a", "max_tokens": 0, "echo": true, "logprobs": 0}'
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        request = b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
        connections = [gateway.connect(request) for _ in range(3)]
        held.wait_for_calls(1)
        # Each reads its prompt; of the last the call is held, and the others
        # wait to score theirs.
        held.let_through(2)
        gateway.wait_until(
            lambda: gateway.metric("backend_calls_waiting") == 2,
            "two calls wait",
        )
        for connection in connections:
            connection.close()
        gateway.wait_until(
            lambda: sum("left" in line for line in gateway.log()) == 3,
            "all have left",
        )
        self.assert_quiet(gateway)


if __name__ == "__main__":
    absltest.main()
