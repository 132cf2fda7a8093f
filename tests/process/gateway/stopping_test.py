"""A gateway that is stopped: what ends, and what is told that it does not."""

import contextlib
import json
import signal

from absl.testing import absltest
from helpers.servers.gateway_process import GatewayTestCase
from helpers.servers.held_calls import HeldCalls

ENDLESS = {"prompt": "a", "max_tokens": 16384, "stream": True, "seed": 1}
HEAD = (
    b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: %d\r\n\r\n"
)
BEGUN = HEAD % 9 + b"{"


class StoppingTest(GatewayTestCase):
    def send(self, gateway, **fields):
        """Sends a completions request by hand; returns the connection."""
        body = json.dumps(fields).encode()
        return gateway.connect(HEAD % len(body) + body)

    def rest(self, connection):
        data = b""
        while piece := connection.recv(100_000):
            data += piece
        return data

    def stop(self, gateway, times):
        for _ in range(times):
            gateway.process.send_signal(signal.SIGTERM)
            # Else two signals may be one.
            gateway.wait_until(
                lambda: not self.is_listening(gateway),
                "the gateway has begun to stop",
            )

    def is_listening(self, gateway):
        with contextlib.suppress(ConnectionRefusedError):
            gateway.connect().close()
            return True
        return False

    def assert_refused(self, data, gateway):
        """Checks a whole reply, and its line of the log."""
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        self.assertEqual(status, "http/1.1 503 service unavailable")
        self.assertEqual(headers["retry-after"], "1")
        self.assertEqual(json.loads(body)["error"]["code"], "gateway_stopping")
        (line,) = [
            line
            for line in gateway.log()
            if line["id"] == headers["x-request-id"]
        ]
        self.assertEqual(line["status"], 503)
        self.assertIn("stopped", line["error"])

    def test_streams_may_end(self):
        gateway = self.start()
        connection = self.send(gateway, **ENDLESS)
        data = connection.recv(100)
        idle = gateway.connect()
        gateway.process.send_signal(signal.SIGTERM)
        data += self.rest(connection)
        self.assertIn(b"data: [DONE]", data)
        idle.close()
        self.assertEqual(gateway.process.wait(60), 0)

    def test_what_does_not_end_in_time_is_told_so(self):
        for flags, signals in (
            (["--drain_seconds=1"], 1),
            (["--drain_seconds=600"], 2),
        ):
            with self.subTest(flags):
                self.check_what_does_not_end(self.start(*flags), signals)

    def check_what_does_not_end(self, gateway, signals):
        held = HeldCalls(self.server.loaded[1])
        self.addCleanup(held.release)
        stream = self.send(gateway, **ENDLESS)
        held.wait_for_calls(1)
        held.let_through(1)
        data = stream.recv(100)
        others = [
            self.send(gateway, **ENDLESS),
            self.send(gateway, prompt="a", n=3),
            # More than there are turns.
            self.send(gateway, prompt="a", n=32),
            gateway.connect(BEGUN),
        ]
        gateway.wait_until(
            lambda: gateway.metric("backend_calls_waiting") > 0,
            "a call waits for its turn",
        )
        self.stop(gateway, signals)
        data += self.rest(stream)
        self.assertEndsWith(data, b"\r\n0\r\n\r\n")
        event = data.split(b"data: ")[-1].split(b"\n\n")[0]
        self.assertEqual(json.loads(event)["error"]["code"], "gateway_stopping")
        for connection in others:
            self.assert_refused(self.rest(connection), gateway)
        self.assertEqual(gateway.process.wait(60), 0)
        self.assertEqual(gateway.process.stderr.read().decode(), "")
        lines = [line for line in gateway.log() if line["method"] == "POST"]
        self.assertLen(lines, 1 + len(others))
        (line,) = [line for line in lines if line["status"] == 200]
        self.assertIn("stopped", line["error"])
        held.release()

    def test_nobody_waits_for_those_that_do_not_read(self):
        gateway = self.start("--drain_seconds=1")
        stream = self.send(gateway, **ENDLESS, n=8, logprobs=5)
        stream.recv(100)
        asking_on = self.send(gateway, **ENDLESS, n=8, logprobs=5)
        asking_on.sendall(BEGUN)
        asking_on.recv(100)
        self.assertEqual(gateway.terminate(), 0)
        self.assertEqual(gateway.process.stderr.read().decode(), "")
        self.assertLen(gateway.log(), 2)


if __name__ == "__main__":
    absltest.main()
