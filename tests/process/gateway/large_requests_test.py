"""Requests that ask for much: what they are charged, and how they arrive."""

import base64
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

from absl.testing import absltest
from absl.testing import parameterized
from helpers.servers.fake_servable import FakeServable
from helpers.servers.fake_servable import FakeServer
from helpers.servers.gateway_process import GatewayProcess

STATE_BYTES = 2**18
PROGRAM = [sys.executable, "-m", "kerasrnn_serving.programs.gateway"]


class LargeStatesServable(FakeServable):
    """A version with many units: its tokens are long."""

    def _generate(self, state_bytes, **inputs):
        row = super()._generate(state_bytes=state_bytes.rstrip(), **inputs)
        return {**row, "state_bytes": row["state_bytes"].ljust(STATE_BYTES)}


class LargeRequestsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enter_context(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)
        (self.folder / "models").mkdir()
        self.server = FakeServer(self.folder / "models")
        self.addCleanup(self.server.stop)

    def start(self, *flags):
        gateway = GatewayProcess(self.server.target, *flags)
        self.addCleanup(gateway.close)
        return gateway

    def start_with_key(self, *limits):
        keys = f"--keys={self.folder}/keys.json"
        added = subprocess.run(
            [*PROGRAM, "keys", "add", "a", keys, *limits],
            capture_output=True,
            text=True,
            check=True,
        )
        return self.start(keys), added.stdout.strip()

    def read_by_the_server(self):
        """Returns the characters of all prompts and texts."""
        return sum(
            len(text)
            for request in self.server.requests
            for name in ("prompt", "text")
            for text in request.get(name, ())
        )

    def test_each_reading_of_a_prompt_is_charged(self):
        gateway, key = self.start_with_key("--characters_per_minute=9000")
        fields = {"n": 32, "max_tokens": 0, "echo": True, "logprobs": 5}
        status, reply = gateway.complete(key, prompt="a" * 4096, **fields)
        self.assertEqual(status, 400)
        self.assertIn(f"{4096 * 32 * 3} characters", reply["error"]["message"])
        self.assertEqual(self.read_by_the_server(), 0)
        # One that may be sent uses the minute up.
        self.assertEqual(
            gateway.complete(key, prompt="a" * 90, **fields)[0], 200
        )
        self.assertEqual(self.read_by_the_server(), 90 * 32 * 3)
        status, _ = gateway.complete(key, prompt="a", max_tokens=700)
        self.assertEqual(status, 429)

    def test_what_a_request_may_ask_for(self):
        gateway = self.start()
        status, reply = gateway.complete(
            prompt="a", n=32, max_tokens=16384, logprobs=5
        )
        self.assertEqual(status, 400)
        self.assertIn("Set stream, or lower n", reply["error"]["message"])
        status, reply = gateway.complete(
            prompt="a" * 30000, n=32, echo=True, logprobs=5, stream=True
        )
        self.assertEqual(status, 400)
        self.assertIn("Lower n, max_tokens", reply["error"]["message"])
        self.assertEqual(self.server.requests, [])

    def test_a_reply_that_is_no_stream_keeps_only_its_last_states(self):
        folder = self.enter_context(tempfile.TemporaryDirectory())
        self.server = FakeServer(
            pathlib.Path(folder), servable_class=LargeStatesServable
        )
        self.addCleanup(self.server.stop)
        gateway = self.start()
        gateway.complete(prompt="a", n=2, max_tokens=128)
        before = gateway.resident_bytes(peak=True)
        status, reply = gateway.complete(prompt="a", n=2, max_tokens=8192)
        self.assertEqual(status, 200)
        grown = gateway.resident_bytes(peak=True) - before
        chunks = len(self.server.requests)
        self.assertGreater(chunks, 250)
        self.assertLess(grown, chunks * STATE_BYTES / 4)
        for choice in reply["choices"]:
            self.assertLen(choice["text"], 8192)
            state = base64.urlsafe_b64decode(choice["state"] + "==")
            self.assertEqual(state.rstrip(), b"fake:8192")

    @parameterized.parameters(True, False)
    def test_a_client_that_never_stops_reading_gets_all(self, stream):
        gateway = self.start("--write_seconds=2")
        texts = []

        def read_slowly():
            connection = self.connect_slowly(gateway, stream)
            data = connection.makefile("rb", buffering=2**14)
            while part := data.read(2**14):
                texts.append(part)
                # The whole takes longer than --write_seconds.
                time.sleep(0.03)

        reader = threading.Thread(target=read_slowly)
        reader.start()
        # Meanwhile others are answered.
        while reader.is_alive():
            self.assertEqual(gateway.request("GET", "/healthz")[0], 200)
            reader.join(0.1)
        _, _, body = b"".join(texts).partition(b"\r\n\r\n")
        if stream:
            self.assertIn(b"data: [DONE]", body)
        else:
            self.assertLen(json.loads(body)["choices"], 2)

    def connect_slowly(self, gateway, stream):
        """Returns a connection with small buffers, its request sent."""
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.settimeout(60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**15)
        connection.connect(("127.0.0.1", gateway.port))
        fields = {"echo": True, "logprobs": 5, "max_tokens": 0, "n": 2}
        fields |= {"prompt": "a" * 40000, "stream": stream}
        body = json.dumps(fields).encode()
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        return connection


if __name__ == "__main__":
    absltest.main()
