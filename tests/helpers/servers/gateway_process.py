"""The gateway in a process of its own, and raw HTTP to it."""

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from absl.testing import absltest

from helpers.servers.fake_servable import FakeServer

_START_SECONDS = 60
_EXIT_SECONDS = 60
_CLOSE_SECONDS = 5
_WAIT_SECONDS = 60


class GatewayProcess:
    """`kerasrnn-gateway` on a free port.

    Attributes:
        url: Where the page is; the API is at `url` + "/v1".
        port: Its port.
        process: Its process.
    """

    def __init__(self, target: str, *flags: str):
        self._log = tempfile.TemporaryFile()
        self._connections: list[socket.socket] = []
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "kerasrnn_serving.programs.gateway",
                f"--server={target}",
                "--port=0",
                *flags,
            ],
            stdout=self._log,
            stderr=subprocess.PIPE,
        )
        self.errors = self._read_errors()
        match = re.search(r"(https?://\S+:(\d+))\n", self.errors)
        if match is None:
            self.close()
            raise RuntimeError(f"no gateway: {self.errors}")
        self.url, self.port = match[1], int(match[2])

    def _read_errors(self):
        """Returns what comes up to the address, or to the end."""
        stream, text, end = self.process.stderr, b"", time.monotonic()
        end += _START_SECONDS
        while b"://" not in text or not text.endswith(b"\n"):
            left = max(end - time.monotonic(), 0)
            if not select.select([stream], [], [], left)[0]:
                break
            data = os.read(stream.fileno(), 4096)
            if not data:
                break
            text += data
        return text.decode()

    def log(self) -> list[dict]:
        """Returns the lines of its log."""
        # The process writes on from where a file shared with it is read.
        file = self._log.fileno()
        content = os.pread(file, os.fstat(file).st_size, 0)
        lines = content.decode().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait_for_line(self, **fields) -> dict:
        """Returns a line of the log that has the fields."""
        (line, *_) = self.wait_until(
            lambda: [
                line for line in self.log() if fields.items() <= line.items()
            ],
            f"a line of its log has {fields}",
        )
        return line

    def wait_until(self, condition: Callable, what: str):
        """Waits, but not for ever, for a true value; returns it."""
        end = time.monotonic() + _WAIT_SECONDS
        while not (value := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"never: {what}; log: {self.log()}")
            time.sleep(0.02)
        return value

    def request(self, method, path, body=None, headers=None):
        """Returns (status, headers, body) of one raw request."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=60
        )
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def connect(self, data: bytes = b"", timeout: float = 60):
        """Returns a connection that has sent data, and closes with this."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        self._connections.append(connection)
        connection.settimeout(timeout)
        connection.sendall(data)
        return connection

    def complete(self, key=None, **fields):
        """Returns (status, JSON object) of a completion."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        status, _, body = self.request(
            "POST", "/v1/completions", json.dumps(fields), headers
        )
        return status, json.loads(body)

    def metric(self, name: str, **labels) -> float:
        """Returns the value of a metric; 0 where it is not there."""
        _, _, text = self.request("GET", "/metrics")
        total = 0.0
        for line in text.decode().splitlines():
            match = re.fullmatch(
                rf"kerasrnn_gateway_{name}(\{{.*\}})? (\S+)", line
            )
            if match and all(
                f'{key}="{value}"' in (match[1] or "")
                for key, value in labels.items()
            ):
                total += float(match[2])
        return total

    def open_files(self) -> int:
        """Returns how many it has, connections included."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self, peak: bool = False) -> int:
        """Returns how much memory it holds, or has held at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        name = "VmHWM" if peak else "VmRSS"
        return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", status)[1])

    def terminate(self) -> int:
        """Sends SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_EXIT_SECONDS)

    def close(self) -> None:
        """Ends it, if it still runs: by a signal that it may act on first."""
        for connection in self._connections:
            connection.close()
        self.process.terminate()
        try:
            self.process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        self._log.close()


def read_to_end(connection: socket.socket) -> None:
    """Reads until the gateway has closed a connection, or reset it."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(1000):
            pass


class GatewayTestCase(absltest.TestCase):
    """Has a server whose texts are known, and starts gateways before it."""

    def setUp(self):
        super().setUp()
        folder = self.enter_context(tempfile.TemporaryDirectory())
        self.server = FakeServer(Path(folder))
        # A test may put another one in its place.
        self.addCleanup(lambda: self.server.stop())

    def start(self, *flags: str) -> GatewayProcess:
        """Returns a gateway that ends with the test."""
        gateway = GatewayProcess(self.server.target, *flags)
        self.addCleanup(gateway.close)
        return gateway
