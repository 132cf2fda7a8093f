"""Where calls go: to replicas, by names, and past proxies."""

import http.server
import os
import threading
import unittest
from unittest import mock

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.servers.channels import TIMEOUT
from helpers.servers.channels import ChannelTestCase
from helpers.servers.clients import AsyncInThread
from helpers.servers.faulty_server import Proxy
from kerasrnn_serving.client.errors import ServingError


class ChannelTest(ChannelTestCase):
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
        self.addCleanup(thread.join, TIMEOUT)
        self.addCleanup(proxy.shutdown)
        self.enter_context(mock.patch.dict(os.environ))
        for other in ("grpc_proxy", "https_proxy", "http_proxy", "no_proxy"):
            os.environ.pop(other, None)
        os.environ[name] = f"http://127.0.0.1:{proxy.server_address[1]}"
        return asked, f"127.0.0.1:{proxy.server_address[1]}"

    def test_calls_go_to_all_addresses_in_turn(self):
        servers = [self.serve() for _ in range(3)]
        ports = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        client = self.connect(f"ipv4:{ports}")
        # A connection that comes later than the others gets its calls later.
        counts = [0]
        for seed in range(2000):
            self.assert_answers(client, seed)
            counts = [len(server.requests) for server in servers]
            if min(counts) >= 20:
                break
        self.assertGreaterEqual(min(counts), 20)

    def test_calls_go_on_where_a_replica_stops(self):
        servers = [self.serve() for _ in range(2)]
        ports = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        client = self.connect(f"ipv4:{ports}")
        while not all(len(server.requests) for server in servers):
            self.assert_answers(client, 1)
        servers[0].stop()
        for seed in range(100):
            self.assert_answers(client, seed)

    @unittest.skipUnless(FULL, "takes a minute")
    def test_a_connection_of_several_that_dies_is_found(self):
        dead, other = self.serve(), self.serve()
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

    @unittest.skipUnless(FULL, "takes a minute")
    def test_servers_take_the_pings_of_a_long_call(self):
        server = self.serve()
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
        server = self.serve()
        self.assert_answers(self.connect(f"dns:///localhost:{server.port}"), 1)

    def test_a_name_that_nobody_has(self):
        client = self.connect("dns:///nobody.invalid:8500")
        with self.assertRaises(ServingError) as raised:
            client.generate("a")
        self.assertIn("No server answers at dns:///", str(raised.exception))

    def test_no_proxy_is_asked_for_the_way_to_loopback(self):
        for name in ("http_proxy", "grpc_proxy"):
            asked, _ = self._proxy(name)
            server = self.serve()
            for target in (
                server.target,
                f"localhost:{server.port}",
                f"dns:///localhost:{server.port}",
            ):
                self.assert_answers(self.connect(target), 1)
            self.assertEqual(asked, [])

    def test_a_proxy_on_the_way_is_named(self):
        asked, proxy = self._proxy("http_proxy")
        with self.assertRaises(ServingError) as raised:
            self.connect("models.example:8500").generate("a")
        self.assertEqual(set(asked), {"models.example:8500"})
        self.assertIn(
            f"the proxy {proxy}, which http_proxy names",
            raised.exception.advice,
        )


class AsyncChannelTest(ChannelTest):
    client_class = AsyncInThread


if __name__ == "__main__":
    absltest.main()
