"""Calls whose clients send no message leave the local server to the others."""

import tempfile
import threading
from pathlib import Path
from unittest import mock

import grpc
from absl.testing import absltest
from absl.testing import parameterized
from helpers.servers.fake_servable import FakeServer
from kerasrnn_serving.client import Client
from kerasrnn_serving.server import rpc
from kerasrnn_serving.server.limits import Limits

from kerasrnn.contract import api
from kerasrnn.contract import messages

# More than there are threads for calls of any kind.
_CALLS = 400
_HOUR = 3600.0
_TIMEOUT = 60


class SilentCallsTest(parameterized.TestCase):
    def _serve(self, seconds):
        directory = self.enter_context(tempfile.TemporaryDirectory())
        self.server = FakeServer(
            Path(directory), limits=Limits(seconds=seconds)
        )
        self.addCleanup(self.server.stop)
        # What gRPC says of handlers that fail.
        self.enter_context(self.assertNoLogs("grpc", "WARNING"))
        self.channel = self.enter_context(
            grpc.insecure_channel(self.server.target)
        )
        self.is_over = threading.Event()
        self.addCleanup(self.is_over.set)

    def _begin(self, path, count):
        """Begins calls that send nothing, until the test ends."""
        call = self.channel.stream_unary(path)

        def nothing():
            self.is_over.wait()
            yield from ()

        # A call is cancelled when nothing holds it.
        self.calls = [call.future(nothing()) for _ in range(count)]

    def _check_health(self, requests):
        # On the same connection, which keeps calls in their order.
        reply = self.channel.stream_unary(api.HEALTH_CHECK)(
            requests, timeout=_TIMEOUT
        )
        self.assertEqual(
            messages.HealthCheckResponse.FromString(reply).status, api.SERVING
        )

    @parameterized.parameters(
        api.PREDICT, api.GET_MODEL_STATUS, api.HEALTH_CHECK, api.HEALTH_WATCH
    )
    def test_others_are_answered(self, path):
        """Though a call may take an hour."""
        self._serve(_HOUR)
        self._check_health(iter([b""]))
        self._begin(path, _CALLS)
        self._check_health(iter([b""]))
        with Client(self.server.target, timeout=_TIMEOUT) as client:
            (result,) = client.generate("a", length=3)
        self.assertLen(result.text, 3)

    def test_health_waits_for_no_other_calls(self):
        """It has threads of its own: those of the others are all taken."""
        self.enter_context(mock.patch.object(rpc, "ARRIVAL_SECONDS", _HOUR))
        self._serve(_HOUR)
        self._check_health(iter([b""]))
        self._begin(api.PREDICT, _CALLS)
        self._check_health(iter([b""]))

    def test_a_call_s_time_is_up_without_its_message(self):
        self._serve(0.5)
        self._begin(api.PREDICT, 3)
        for call in self.calls:
            error = call.exception(timeout=_TIMEOUT)
            self.assertEqual(error.code(), grpc.StatusCode.CANCELLED)

    def test_a_message_may_take_its_time_where_few_wait(self):
        self._serve(_HOUR)
        self._begin(api.HEALTH_CHECK, 3)

        def late():
            self.is_over.wait(rpc.ARRIVAL_SECONDS + 1)
            yield b""

        self._check_health(late())

    def test_no_message_at_all(self):
        self._serve(_HOUR)
        for path in (api.PREDICT, api.HEALTH_CHECK):
            with self.assertRaises(grpc.RpcError) as raised:
                self.channel.stream_unary(path)(iter(()), timeout=_TIMEOUT)
            self.assertEqual(
                raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED
            )
            self.assertIn("one request message", raised.exception.details())


if __name__ == "__main__":
    absltest.main()
