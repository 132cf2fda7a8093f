"""Clients that leave, dawdle, flood and send nonsense; the backend's faults."""

import contextlib
import json
import pathlib
import random
import tempfile
import threading

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_process import GatewayTestCase
from helpers.servers.gateway_process import read_to_end

ENDLESS = {"prompt": "a", "max_tokens": 16384, "stream": True, "seed": 1}


class StrangersTest(GatewayTestCase):
    def send(self, gateway, fields):
        """Sends a completions request by hand; returns the connection."""
        connection = gateway.connect()
        body = json.dumps(fields).encode()
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        return connection

    def test_a_client_that_leaves_ends_its_work(self):
        gateway = self.start()
        for stream in (True, False):
            fields = {"stream": stream, "n": 4, "user": str(stream)}
            connection = self.send(gateway, ENDLESS | fields)
            if stream:
                connection.recv(100)
            else:
                gateway.wait_until(
                    lambda: gateway.metric("backend_calls_running") > 0,
                    "the model's server is called",
                )
            connection.close()
            gateway.wait_for_line(left=True, user=str(stream))
            self.assertEqual(gateway.metric("completions_running"), 0)
            self.assertEqual(gateway.metric("backend_calls_running"), 0)
            # Nothing comes to the model's server any more.
            count = len(self.server.requests)
            gateway.complete(prompt="end", max_tokens=1)
            self.assertLen(self.server.requests, count + 1)

    def test_slow_clients_are_cut_off(self):
        gateway = self.start("--request_seconds=1", "--write_seconds=1")
        silent = [gateway.connect() for _ in range(1000 if FULL else 10)]
        in_the_headers = gateway.connect()
        in_the_headers.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: ")
        in_the_body = gateway.connect()
        in_the_body.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        second_request = gateway.connect()
        second_request.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn(b"200 OK", second_request.recv(1000))
        second_request.sendall(b"GET /healthz HTTP/1.1\r\n")
        for connection in (
            *silent,
            in_the_headers,
            in_the_body,
            second_request,
        ):
            read_to_end(connection)
        # One that does not read: its buffers fill, then it is cut off too.
        unread = self.send(gateway, ENDLESS | {"n": 8, "logprobs": 5})
        gateway.wait_for_line(left=True, choices=8)
        unread.close()
        # One that dawdles but reads is served.
        self.assertEqual(gateway.complete(prompt="a")[0], 200)

    def test_connections_are_kept_for_longer_than_proxies_keep_them(self):
        def ask(connection):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            received = b""
            while not received.endswith(b'{"status":"ok"}'):
                part = connection.recv(1000)
                self.assertNotEmpty(part)
                received += part

        kept = self.start().connect()
        short = self.start("--idle_seconds=1").connect()
        ask(kept)
        ask(short)
        self.assertEqual(short.recv(1000), b"")
        # uvicorn's own limit is 5 seconds.
        kept.settimeout(6)
        with self.assertRaises(TimeoutError):
            kept.recv(1000)
        kept.settimeout(60)
        ask(kept)

    def test_bodies_that_are_too_large(self):
        gateway = self.start("--max_body_bytes=1000")
        for headers, body in (
            (b"Content-Length: 1001\r\n", b"x"),
            (
                b"Transfer-Encoding: chunked\r\n",
                b"3e9\r\n%s\r\n" % (b" " * 1001),
            ),
        ):
            connection = gateway.connect()
            connection.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s"
                % (headers, body)
            )
            self.assertStartsWith(connection.recv(1000), b"HTTP/1.1 413 ")

    def test_too_many_connections(self):
        gateway = self.start("--max_connections=20")
        # Nobody reads them, so that they do not end.
        large = ENDLESS | {"n": 8, "logprobs": 5}
        connections = [self.send(gateway, large) for _ in range(20)]
        for connection in connections:
            connection.recv(1)
        extra = gateway.connect()
        extra.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertStartsWith(extra.recv(1000), b"HTTP/1.1 503 ")
        self.assertEqual(gateway.request("GET", "/healthz")[0], 200)
        for connection in (*connections, extra):
            connection.close()
        gateway.wait_until(
            lambda: gateway.request("GET", "/v1/models")[0] == 200,
            "there is room for a connection",
        )

    def test_malformed_requests(self):
        gateway = self.start("--max_requests=10000")
        chance = random.Random(0)
        good = json.dumps(
            {"prompt": ["é🙂", "b"], "n": 2, "stop": ["x"], "max_tokens": 9}
        ).encode()
        connection = None
        count = 10_000 if FULL else 500
        statuses = set()
        for turn in range(count):
            if turn == count // 2:
                half_way = gateway.resident_bytes()
            body = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                place = chance.randrange(len(body))
                body[place : place + chance.randrange(3)] = chance.randbytes(
                    chance.randrange(3)
                )
            if connection is None:
                connection = gateway.connect()
            connection.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            reply = connection.recv(100_000)
            statuses.add(reply.split(b" ", 2)[1])
            while b"\r\n\r\n" not in reply:
                reply += connection.recv(100_000)
            head, _, rest = reply.partition(b"\r\n\r\n")
            (length,) = [
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ]
            while len(rest) < length:
                rest += connection.recv(100_000)
            json.loads(rest)
        self.assertLessEqual(statuses, {b"200", b"400", b"404"})
        self.assertIn(b"400", statuses)
        # What the first half has left behind is all that is left behind.
        self.assertLess(gateway.resident_bytes(), half_way + 2**23)
        for _ in range(count // 10):
            connection = gateway.connect()
            connection.sendall(chance.randbytes(200) + b"\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                self.assertNotIn(b" 500 ", connection.recv(1000))
            connection.close()
        self.assertEqual(gateway.complete(prompt="a")[0], 200)

    def test_a_backend_that_dies_and_comes_back(self):
        gateway = self.start("--timeout=60")
        count, length = (50, 16384) if FULL else (8, 6000)
        texts, threads = {}, []
        begun = threading.Semaphore(0)

        def read(index):
            connection = self.send(gateway, ENDLESS | {"max_tokens": length})
            data = connection.recv(1000)
            begun.release()
            while piece := connection.recv(100_000):
                data += piece
                if b"[DONE]" in data or b'"error"' in data:
                    break
            texts[index] = data

        for index in range(count):
            threads.append(threading.Thread(target=read, args=(index,)))
            threads[-1].start()
        for _ in range(count):
            self.assertTrue(begun.acquire(timeout=60))
        port = self.server.port
        self.server.stop()
        self.assertEqual(gateway.request("GET", "/healthz")[0], 200)
        gateway.wait_until(
            lambda: gateway.request("GET", "/readyz")[0] == 503,
            "the gateway sees that the model's server has gone",
        )
        folder = self.enter_context(tempfile.TemporaryDirectory())
        self.server = FakeServer(pathlib.Path(folder), port=port)
        for thread in threads:
            thread.join()
        for data in texts.values():
            self.assertIn(b"data: [DONE]", data)
            text = "".join(
                choice["text"]
                for line in data.decode().split("\n")
                if line.startswith("data: {")
                for choice in json.loads(line[6:])["choices"]
            )
            self.assertEqual(text, expected(1, 1, length))

    def test_no_backend(self):
        self.server.stop()
        gateway = self.start("--timeout=1")
        self.assertEqual(gateway.request("GET", "/healthz")[0], 200)
        self.assertEqual(gateway.request("GET", "/readyz")[0], 503)
        for stream in (False, True):
            status, reply = gateway.complete(prompt="a", stream=stream)
            self.assertEqual(status, 503)
            self.assertEqual(reply["error"]["code"], "server_unavailable")
            # Strangers are not told where the model's server is.
            self.assertNotIn("127.0.0.1", reply["error"]["message"])
        line = gateway.wait_for_line(status=503, choices=1)
        self.assertIn(self.server.target, line["error"])

    def test_new_versions_under_load(self):
        gateway = self.start()
        stop = threading.Event()
        answered, failures = threading.Semaphore(0), []

        def ask():
            while not stop.is_set():
                status, reply = gateway.complete(prompt="a", max_tokens=600)
                answered.release()
                if status != 200:
                    failures.append(reply)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for version in range(2, 22 if FULL else 6):
            self.server.publish(version)
            for _ in range(12):
                self.assertTrue(answered.acquire(timeout=60))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    absltest.main()
