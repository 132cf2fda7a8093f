"""The client and a server that has fewer threads than calls."""

import tempfile
from concurrent import futures
from pathlib import Path

from absl.testing import absltest
from helpers.servers.clients import AsyncInThread
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from helpers.servers.faulty_server import FewThreads
from kerasrnn_serving.client import Client
from kerasrnn_serving.client._connection.throttle import Throttle
from kerasrnn_serving.client.errors import ServingError

_TIMEOUT = 120
_CLIENTS = 32
_THREADS = 8
# Of a call; long beside what the client and gRPC need for one.
_SECONDS = 0.05


class OverloadTest(absltest.TestCase):
    client_class = Client

    def setUp(self):
        super().setUp()
        directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.server = FakeServer(directory)
        self.addCleanup(self.server.stop)
        self.threads = FewThreads(self.server.loaded[1], _THREADS, _SECONDS)

    def _ask(self, clients, calls):
        """Has threads make calls; returns how many attempts those took."""

        def work(index):
            client = clients[index % len(clients)]
            for number in range(calls):
                (result,) = client.generate("a", length=5, seed=number)
                if result.text != expected(1, number, 5):
                    raise AssertionError(result.text)

        before = self.threads.attempts
        with futures.ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(work, range(_CLIENTS)))
        return self.threads.attempts - before

    def _clients(self, count):
        return [
            self.enter_context(
                self.client_class(self.server.target, timeout=_TIMEOUT)
            )
            for _ in range(count)
        ]

    def test_threads_of_one_client(self):
        clients = self._clients(1)
        # The budget of repeats is spent here.
        self._ask(clients, 4)
        self.assertGreater(self.threads.refused, 0)
        attempts = self._ask(clients, 20)
        self.assertLessEqual(attempts, 1.2 * 20 * _CLIENTS)

    def test_clients_that_know_nothing_of_each_other(self):
        clients = self._clients(_CLIENTS if self.client_class is Client else 12)
        self._ask(clients, 4)
        self.assertGreater(self.threads.refused, 0)
        attempts = self._ask(clients, 20)
        self.assertLessEqual(attempts, 1.2 * 20 * _CLIENTS)

    def test_overload_until_the_deadline(self):
        FewThreads(self.server.loaded[1], 0)
        with self.client_class(self.server.target, timeout=4) as client:
            for _ in range(5):
                with self.assertRaises(ServingError) as raised:
                    client.generate("a")
                if raised.exception.code != "DEADLINE_EXCEEDED":
                    break  # Else the deadline came during the last attempt.
        self.assertEqual(raised.exception.code, "RESOURCE_EXHAUSTED")
        self.assertEqual(raised.exception.said, "Server Threadpool Exhausted")
        self.assertIn("--grpc_max_threads", raised.exception.advice)

    def test_a_client_is_closed_while_its_calls_wait(self):
        FewThreads(self.server.loaded[1], 0)
        (client,) = self._clients(1)
        with futures.ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(client.generate, "a") for _ in range(4)]
            client.close()
            for call in calls:
                with self.assertRaisesRegex(ValueError, "client is closed"):
                    call.result(_TIMEOUT)


class AsyncOverloadTest(OverloadTest):
    client_class = AsyncInThread


class ThrottleTest(absltest.TestCase):
    """The queue by itself, on a clock of the test's."""

    def test_nobody_waits_where_nothing_was_refused(self):
        throttle = Throttle()
        for now in range(10):
            self.assertEqual(throttle.delay(object(), now, 60), 0)
            throttle.quicken(0.5)

    def test_attempts_begin_in_the_order_of_their_coming(self):
        throttle = Throttle()
        throttle.slow_down(Exception(), 0.0, 1.0, much=False)
        tickets, now, begun = [*range(5)], 1.0, []
        while len(begun) < 5:
            delays = {t: throttle.delay(t, now, 60) for t in tickets}
            begun += [t for t in tickets if not delays[t]]
            tickets = [t for t in tickets if delays[t]]
            now += 0.001
        self.assertEqual(begun, [*range(5)])

    def test_refusals_of_one_moment_count_once(self):
        throttles = [Throttle(), Throttle()]
        for throttle, refusals in zip(throttles, (1, 30), strict=True):
            for _ in range(refusals):
                throttle.slow_down(Exception(), 0.0, 1.0, much=False)
        # Half of the interval to one and a half of it.
        once, often = (t.delay(object(), 1.0, 6000) for t in throttles)
        self.assertLess(often, 3.01 * once)

    def test_answers_end_the_throttling(self):
        throttle = Throttle()
        for moment in range(20):
            throttle.slow_down(Exception(), moment, moment + 0.5, much=True)
        for _ in range(150):
            throttle.quicken(0.1)
        self.assertEqual(throttle.delay(object(), 20.0, 60), 0)

    def test_the_nearer_the_deadline_the_more_often(self):
        throttle = Throttle()
        for moment in range(20):
            throttle.slow_down(Exception(), moment, moment + 0.5, much=True)
        self.assertEqual(throttle.delay("a", 30.0, 60), 0)
        self.assertGreater(throttle.delay("b", 30.0, 60), 1)
        self.assertLess(throttle.delay("b", 30.0, 1), 0.06)


if __name__ == "__main__":
    absltest.main()
