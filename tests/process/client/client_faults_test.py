"""The client and a network that fails: nothing is lost within the deadline."""

import logging
import tempfile
import threading
from pathlib import Path

import grpc
from absl.testing import absltest
from helpers.servers.clients import AsyncInThread
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from helpers.servers.faulty_server import Proxy
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.server.rpc import StatusError

from kerasrnn.errors import UserError

_TIMEOUT = 60


class FaultsTest(absltest.TestCase):
    client_class = Client

    def setUp(self):
        super().setUp()
        directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.server = FakeServer(directory)
        self.addCleanup(self.server.stop)
        self.servable = self.server.loaded[1]
        self.proxy = Proxy(self.server.port)
        self.addCleanup(self.proxy.close)

    def client(self, timeout=_TIMEOUT):
        return self.enter_context(
            self.client_class(self.proxy.target, timeout=timeout)
        )

    def assert_answers(self, client, seed):
        (result,) = client.generate("a", length=30, seed=seed)
        self.assertEqual(result.text, expected(1, seed, 30))

    def _failing(self, code, times):
        """Makes the next `times` calls fail; returns the count of calls."""
        predict, calls = self.servable.predict, []

        def failing(request, call):
            calls.append(request)
            if len(calls) <= times:
                raise StatusError(code, "not now")
            return predict(request, call)

        self.servable.predict = failing
        return calls

    def test_three_times_unavailable(self):
        client = self.client()
        calls = self._failing(grpc.StatusCode.UNAVAILABLE, 3)
        self.assert_answers(client, 1)
        self.assertLen(calls, 4)

    def test_a_server_that_is_down_is_soon_asked_once_a_call(self):
        client = self.client()
        calls = self._failing(grpc.StatusCode.UNAVAILABLE, 10**9)
        for _ in range(100):
            with self.assertRaises(ServingError) as raised:
                client.generate("a")
            self.assertEqual(raised.exception.code, "UNAVAILABLE")
            self.assertEqual(raised.exception.said, "not now")
        self.assertLessEqual(len(calls), 120)

    def test_what_is_wrong_is_not_sent_again(self):
        for code in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.UNAUTHENTICATED,
        ):
            calls = self._failing(code, 1)
            with self.assertRaises(ServingError) as raised:
                self.client().generate("a")
            self.assertEqual(raised.exception.code, code.name)
            self.assertLen(calls, 1)

    def test_a_reply_that_breaks_off(self):
        client = self.client()
        for fault in ("close", "reset"):
            for seed, after in enumerate((0, 1, 20, 100, 200)):
                self.assert_answers(client, seed)
                self.proxy.fail_next_reply(fault, after)
                self.assert_answers(client, seed)

    def test_a_reply_that_stalls_or_drips(self):
        client = self.client(timeout=6)
        for seed, fault in enumerate(("stall", "drip")):
            self.assert_answers(client, seed)
            before = self.proxy.connections
            self.proxy.fail_next_reply(fault)
            self.assert_answers(client, seed)
            self.assertGreater(self.proxy.connections, before)

    def test_a_server_that_stops_ends_what_arrives_on_its_connections(self):
        client = self.client()
        self.assert_answers(client, 1)
        predict = self.servable.predict

        def ending(request, call):
            if self.proxy.connections == 1:
                # gRPC's words for a call that reaches a server that stops.
                raise StatusError(grpc.StatusCode.CANCELLED, "CANCELLED")
            return predict(request, call)

        self.servable.predict = ending
        self.assert_answers(client, 2)
        self.assertEqual(self.proxy.connections, 2)

    def test_a_server_that_greets_late_is_not_given_up(self):
        proxy = Proxy(self.server.port, greet_after=0.6)
        self.addCleanup(proxy.close)
        client = self.enter_context(
            self.client_class(proxy.target, timeout=_TIMEOUT)
        )
        self.assert_answers(client, 1)
        self.assertEqual(proxy.connections, 1)

    def test_a_server_that_restarts(self):
        client = self.enter_context(self.client_class(self.server.target))
        self.assert_answers(client, 1)
        port, done = self.server.port, threading.Event()
        self.server.stop()

        def ask():
            self.assert_answers(client, 2)
            done.set()

        thread = threading.Thread(target=ask)
        thread.start()
        # It waits for the server while there is none.
        self.assertFalse(done.wait(1))
        server = FakeServer(
            Path(self.enter_context(tempfile.TemporaryDirectory())), port=port
        )
        self.addCleanup(server.stop)
        thread.join(_TIMEOUT)
        self.assertTrue(done.is_set())

    def test_a_call_may_take_nearly_all_of_its_time(self):
        client = self.client(timeout=6)
        self.assert_answers(client, 1)
        predict, calls = self.servable.predict, []

        def slow(request, call):
            calls.append(request)
            # More than half of the call's time, and well below all of it.
            threading.Event().wait(3.6)
            return predict(request, call)

        self.servable.predict = slow
        self.assert_answers(client, 2)
        # The connection was alive, so nothing was asked for twice.
        self.assertLen(calls, 1)
        self.assertEqual(self.proxy.connections, 1)

    def test_a_server_that_has_gone_is_said_to_have_gone(self):
        client = self.client(timeout=6)
        chunks = client.stream("a", length=100, seed=1)
        first = next(chunks)
        self.server.stop()
        with (
            self.assertLogs("kerasrnn_serving", "WARNING") as logs,
            self.assertRaises(ServingError) as raised,
        ):
            list(chunks)
        self.assertEqual(first.text, expected(1, 1, 8))
        # Once, however often it was tried.
        (line,) = logs.output
        self.assertIn(f"No server answers at {self.proxy.target} any", line)
        self.assertIn("trying again for up to 6 seconds", line)
        self.assertEqual(raised.exception.code, "UNAVAILABLE")
        self.assertIn(
            f"No server answers at {self.proxy.target} (",
            str(raised.exception),
        )

    def test_a_stream_goes_on_where_its_server_comes_back(self):
        client = self.enter_context(
            self.client_class(self.server.target, timeout=_TIMEOUT)
        )
        chunks = client.stream("a", length=100, seed=1)
        text = next(chunks).text
        port = self.server.port
        directory = self.enter_context(tempfile.TemporaryDirectory())
        told = threading.Event()
        handler = logging.Handler()
        handler.emit = lambda record: told.set()
        logger = logging.getLogger("kerasrnn_serving")
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        self.server.stop()

        def restart():
            if told.wait(_TIMEOUT):
                server = FakeServer(Path(directory), port=port)
                self.addCleanup(server.stop)

        thread = threading.Thread(target=restart)
        thread.start()
        text += "".join(chunk.text for chunk in chunks)
        thread.join(_TIMEOUT)
        self.assertTrue(told.is_set())
        self.assertEqual(text, expected(1, 1, 100))

    def test_other_calls_survive_a_repeat(self):
        client = self.client(timeout=6)
        client.versions()
        predict, release = self.servable.predict, threading.Event()

        def held(request, call):
            if wire_seed(request) == 7:
                release.wait(_TIMEOUT)
            return predict(request, call)

        self.servable.predict = held
        results = []
        thread = threading.Thread(
            target=lambda: results.append(
                client.generate("a", length=3, seed=7)
            )
        )
        thread.start()
        self.proxy.fail_next_reply("reset")
        self.assert_answers(client, 1)
        release.set()
        thread.join(_TIMEOUT)
        self.assertEqual(results[0][0].text, expected(1, 7, 3))

    def test_a_closed_client_says_so(self):
        client = self.client()
        client.close()
        with self.assertRaisesRegex(UserError, "The client is closed"):
            client.generate("a")


class AsyncFaultsTest(FaultsTest):
    client_class = AsyncInThread


def wire_seed(request):
    from kerasrnn.contract import tensors

    return int(tensors.to_array(request.inputs["seed"])[0])


if __name__ == "__main__":
    absltest.main()
