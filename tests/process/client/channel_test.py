"""Where calls go, how large they may be, and what becomes of failures."""

import http.server
import os
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import grpc
from absl.testing import absltest
from helpers.servers.clients import AsyncInThread
from helpers.servers.fake_servable import UNITS
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from helpers.servers.faulty_server import Proxy
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.server.rpc import StatusError

from kerasrnn.errors import UserError

_TIMEOUT = 60
_FULL = os.environ.get("KERASRNN_FULL")


class ChannelTest(absltest.TestCase):
    client_class = Client

    def _serve(self):
        directory = self.enter_context(tempfile.TemporaryDirectory())
        server = FakeServer(Path(directory))
        self.addCleanup(server.stop)
        return server

    def _client(self, target, **options):
        return self.enter_context(
            self.client_class(target, timeout=_TIMEOUT, **options)
        )

    def assert_answers(self, client, seed):
        (result,) = client.generate("a", length=30, seed=seed)
        self.assertEqual(result.text, expected(1, seed, 30))

    def test_calls_go_to_all_addresses_in_turn(self):
        servers = [self._serve() for _ in range(3)]
        ports = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        client = self._client(f"ipv4:{ports}")
        # A connection that comes later than the others gets its calls later.
        counts = [0]
        for seed in range(2000):
            self.assert_answers(client, seed)
            counts = [len(server.requests) for server in servers]
            if min(counts) >= 20:
                break
        self.assertGreaterEqual(min(counts), 20)

    def test_calls_go_on_where_a_replica_stops(self):
        servers = [self._serve() for _ in range(2)]
        ports = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        client = self._client(f"ipv4:{ports}")
        while not all(len(server.requests) for server in servers):
            self.assert_answers(client, 1)
        servers[0].stop()
        for seed in range(100):
            self.assert_answers(client, seed)

    @unittest.skipUnless(_FULL, "takes a minute")
    def test_a_connection_of_several_that_dies_is_found(self):
        dead, other = self._serve(), self._serve()
        proxy = Proxy(dead.port)
        self.addCleanup(proxy.close)
        client = self.enter_context(
            self.client_class(
                f"ipv4:{proxy.target},127.0.0.1:{other.port}", timeout=45
            )
        )
        while not (dead.requests and other.requests):
            self.assert_answers(client, 1)
        before = proxy.connections
        proxy.fail_next_reply("stall")
        for seed in range(10):
            self.assert_answers(client, seed)
        self.assertGreater(proxy.connections, before)

    @unittest.skipUnless(_FULL, "takes a minute")
    def test_servers_take_the_pings_of_a_long_call(self):
        server = self._serve()
        predict, release = server.loaded[1].predict, threading.Event()
        self.addCleanup(release.set)

        def slow(request, timeout):
            release.wait(44)
            return predict(request, timeout)

        client = self.enter_context(
            self.client_class(server.target, timeout=60)
        )
        self.assert_answers(client, 1)
        server.loaded[1].predict = slow
        self.assert_answers(client, 2)
        self.assertLen(server.requests, 2)

    def test_names_are_resolved(self):
        server = self._serve()
        self.assert_answers(self._client(f"dns:///localhost:{server.port}"), 1)

    def test_a_name_that_nobody_has(self):
        client = self._client("dns:///nobody.invalid:8500")
        with self.assertRaises(ServingError) as raised:
            client.generate("a")
        self.assertIn("No server answers at dns:///", str(raised.exception))

    def _proxy(self, name):
        """Has the environment name a proxy; returns what it was asked for."""
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_CONNECT(self):
                asked.append(self.path)
                self.send_error(403)

            def log_message(self, *arguments):
                pass

        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        self.addCleanup(proxy.server_close)
        self.addCleanup(thread.join, _TIMEOUT)
        self.addCleanup(proxy.shutdown)
        self.enter_context(mock.patch.dict(os.environ))
        for other in ("grpc_proxy", "https_proxy", "http_proxy", "no_proxy"):
            os.environ.pop(other, None)
        os.environ[name] = f"http://127.0.0.1:{proxy.server_address[1]}"
        return asked, f"127.0.0.1:{proxy.server_address[1]}"

    def test_no_proxy_is_asked_for_the_way_to_loopback(self):
        for name in ("http_proxy", "grpc_proxy"):
            asked, _ = self._proxy(name)
            server = self._serve()
            for target in (
                server.target,
                f"localhost:{server.port}",
                f"dns:///localhost:{server.port}",
            ):
                self.assert_answers(self._client(target), 1)
            self.assertEqual(asked, [])

    def test_a_proxy_on_the_way_is_named(self):
        asked, proxy = self._proxy("http_proxy")
        with self.assertRaises(ServingError) as raised:
            self._client("models.example:8500").generate("a")
        self.assertEqual(set(asked), {"models.example:8500"})
        self.assertIn(
            f"the proxy {proxy}, which http_proxy names",
            raised.exception.advice,
        )

    def test_closing_while_other_threads_call(self):
        server = self._serve()
        client, begun = self._client(server.target), threading.Event()
        errors = []

        def ask():
            try:
                for seed in range(10**6):
                    client.generate("a", length=1, seed=seed)
                    begun.set()
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        self.assertTrue(begun.wait(_TIMEOUT))
        client.close()
        for thread in threads:
            thread.join(_TIMEOUT)
        self.assertLen(errors, 8)
        for error in errors:
            self.assertIsInstance(error, UserError)
            self.assertIn("The client is closed", str(error))

    def _answer_with_token(self, server, token):
        predict = server.loaded[1].predict

        def answer(request, timeout):
            response = predict(request, timeout)
            response.outputs["state_bytes"].string_val[0] = token
            return response

        server.loaded[1].predict = answer

    def test_messages_may_be_larger_than_grpc_takes_by_default(self):
        server = self._serve()
        token = bytes(5 * 2**20)
        self._answer_with_token(server, token)
        (result,) = self._client(server.target).generate("a", length=3)
        self.assertEqual(result.state_bytes, token)

    def test_messages_larger_than_allowed(self):
        server = self._serve()
        self._answer_with_token(server, bytes(20_000))
        client = self._client(server.target, max_message_bytes=10_000)
        with self.assertRaises(ServingError) as raised:
            client.generate("a", length=3)
        self.assertEqual(raised.exception.code, "RESOURCE_EXHAUSTED")
        self.assertIn("larger messages", raised.exception.advice)
        with self.assertRaises(ServingError) as raised:
            client.generate(["a" * 4000] * 3, length=3)
        self.assertEqual(raised.exception.code, "RESOURCE_EXHAUSTED")
        with self.assertRaisesRegex(UserError, "max_message_bytes must be"):
            self._client(server.target, max_message_bytes=0)

    def test_inspections_are_cut_to_fit_into_messages(self):
        server = self._serve()
        predict, calls = server.loaded[1].predict, []

        def noting(request, timeout):
            response = predict(request, timeout)
            calls.append((len(response.outputs["error"].string_val), response))
            return response

        server.loaded[1].predict = noting
        texts = [f"{index:02}é🙂{'x' * 299}" for index in range(40)]
        client = self._client(server.target)
        wholes = client.inspect(texts)
        self.assertEqual([rows for rows, _ in calls], [32, 8])
        for limit in (200_000, 20_000, 3_000):
            calls.clear()
            client = self._client(server.target, max_message_bytes=limit)
            for row, whole in zip(client.inspect(texts), wholes, strict=True):
                self.assertEqual(row.characters, whole.characters)
                self.assertEqual(row.top_characters, whole.top_characters)
                self.assertEqual(row.activations.shape, (303, UNITS))
                self.assertEqual(row.state_bytes, whole.state_bytes)
            sizes = [reply.ByteSize() for _, reply in calls]
            self.assertLessEqual(max(sizes), limit)
            self.assertGreater(max(sizes), limit / 4)
        # Of a large network less is asked for without being told to.
        definition = server.loaded[1].signatures["inspect"]
        definition.outputs["activations"].tensor_shape.dim[2].size = 4 * 4096
        calls.clear()
        self._client(server.target).inspect(["x" * 9000] * 3)
        for rows, reply in calls:
            shape = reply.outputs["activations"].tensor_shape.dim
            self.assertLess(rows * shape[1].size * 4 * 4 * 4096, 2**24)

    def test_a_large_request_is_sent_again_too(self):
        server = self._serve()
        client = self._client(server.target)
        client.generate("a", length=1)
        predict, calls = server.loaded[1].predict, []

        def failing(request, timeout):
            calls.append(request.ByteSize())
            if len(calls) <= 3:
                raise StatusError(grpc.StatusCode.UNAVAILABLE, "not now")
            # The stand-in's own tokens are short ones.
            tokens = request.inputs["state_bytes"].string_val
            tokens[:] = [b""] * len(tokens)
            return predict(request, timeout)

        server.loaded[1].predict = failing
        # As of 32 rows of an LSTM of 3x512, with prompts of 4,096 bytes.
        results = client.generate(
            ["🙂" * 1024] * 32, length=3, seed=1, state_bytes=bytes(12_500)
        )
        self.assertEqual({r.text for r in results}, {expected(1, 1, 3)})
        self.assertLen(calls, 4)
        # Above what gRPC keeps for a retry unless told otherwise.
        self.assertGreater(min(calls), 2 * 256 * 1024)

    def test_every_status_is_one_exception_with_advice(self):
        server = self._serve()
        for code in grpc.StatusCode:
            if code == grpc.StatusCode.OK:
                continue

            def failing(request, timeout, code=code):
                raise StatusError(code, f"said {code.name}")

            server.loaded[1].predict = failing
            with self.subTest(code.name):
                with self.assertRaises(ServingError) as raised:
                    self._client(server.target).generate("a")
                error = raised.exception
                self.assertEqual(error.code, code.name)
                self.assertEqual(error.said, f"said {code.name}")
                self.assertNotEmpty(error.advice)
                self.assertIn(server.target, str(error))
                self.assertIn(error.advice, str(error))
                self.assertIsNone(error.row)

    def test_closing_ends_the_calls_that_run(self):
        server = self._serve()
        begun, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def held(request, timeout):
            begun.set()
            release.wait(_TIMEOUT)
            raise StatusError(grpc.StatusCode.INTERNAL, "released")

        server.loaded[1].predict = held
        client = self._client(server.target)
        errors = []

        def ask():
            try:
                client.generate("a")
            except UserError as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        self.assertTrue(begun.wait(_TIMEOUT))
        client.close()
        thread.join(_TIMEOUT)
        self.assertFalse(thread.is_alive())
        self.assertLen(errors, 1)


class AsyncChannelTest(ChannelTest):
    client_class = AsyncInThread


if __name__ == "__main__":
    absltest.main()
