"""The asynchronous client on an event loop of its caller's.

That it does what the other client does is in the tests beside this one that
have a class for either client.
"""

import asyncio
import collections
import dataclasses
import inspect
import tempfile
import threading
import unittest
from concurrent import futures
from pathlib import Path

import grpc
from absl.testing import absltest
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from kerasrnn_serving.async_client import AsyncClient
from kerasrnn_serving.client import Client
from kerasrnn_serving.client._connection.async_transport import AsyncTransport
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.conversation import Call

from kerasrnn.contract import messages

_TIMEOUT = 60
_HOLD = "/holding/Hold"


class HoldingServer(grpc.GenericRpcHandler):
    """Holds calls, and sees them end.

    Attributes:
        target: Its address.
        begun: Set when a call has come, by the call's name.
        ended: Set when it is over for the server, too.
        release: Set to answer them.
    """

    def __init__(self):
        self.begun = collections.defaultdict(threading.Event)
        self.ended = collections.defaultdict(threading.Event)
        self.release = threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers([self])
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.target = f"127.0.0.1:{port}"

    def service(self, handler_call_details):
        if handler_call_details.method != _HOLD:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._hold,
            messages.HealthCheckRequest.FromString,
            messages.HealthCheckResponse.SerializeToString,
        )

    def _hold(self, request, context):
        context.add_callback(self.ended[request.service].set)
        self.begun[request.service].set()
        self.release.wait(_TIMEOUT)
        return messages.HealthCheckResponse(status=1)

    def stop(self):
        self.release.set()
        self._server.stop(0).wait(_TIMEOUT)


def holding_call(name):
    """Returns a call that a `HoldingServer` holds."""
    return Call(
        _HOLD,
        messages.HealthCheckRequest(service=name),
        messages.HealthCheckResponse,
    )


class AsyncClientTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.server = FakeServer(Path(directory.name))
        self.addCleanup(self.server.stop)

    async def test_many_calls_at_once(self):
        async with AsyncClient(self.server.target) as client:
            results = await asyncio.gather(
                *(
                    client.generate("a", length=700, seed=seed)
                    for seed in range(50)
                )
            )
        for seed, (result,) in enumerate(results):
            self.assertEqual(result.text, expected(1, seed, 700))

    async def test_streams_side_by_side(self):
        async def read(client, seed):
            chunks = client.stream("a", length=300, seed=seed)
            return "".join([chunk.text async for chunk in chunks])

        async with AsyncClient(self.server.target) as client:
            texts = await asyncio.gather(
                *(read(client, seed) for seed in range(10))
            )
        self.assertEqual(texts, [expected(1, s, 300) for s in range(10)])

    async def test_the_loop_goes_on_while_a_call_runs(self):
        predict, release = self.server.loaded[1].predict, threading.Event()
        self.addCleanup(release.set)

        def held(request, timeout):
            release.wait(_TIMEOUT)
            return predict(request, timeout)

        self.server.loaded[1].predict = held
        async with AsyncClient(self.server.target) as client:
            call = asyncio.create_task(client.generate("a", length=3, seed=0))
            await client.versions()
            release.set()
            (result,) = await call
        self.assertEqual(result.text, expected(1, 0, 3))

    async def test_cancelling_a_task_cancels_its_call_alone(self):
        server = HoldingServer()
        self.addCleanup(server.stop)
        client = AsyncTransport(
            Target(address=server.target, model="m", timeout=_TIMEOUT)
        )
        tasks = {
            name: asyncio.create_task(client.send(holding_call(name)))
            for name in ("one", "other")
        }
        for name in tasks:
            self.assertTrue(
                await asyncio.to_thread(server.begun[name].wait, _TIMEOUT)
            )
        tasks["one"].cancel()
        with self.assertRaises(asyncio.CancelledError):
            await tasks["one"]
        # The server sees it end, and the other one go on.
        self.assertTrue(
            await asyncio.to_thread(server.ended["one"].wait, _TIMEOUT)
        )
        self.assertFalse(server.ended["other"].is_set())
        server.release.set()
        reply = await tasks["other"]
        self.assertEqual(reply.status, 1)
        await client.close()


class TwinTest(absltest.TestCase):
    # What both are asked, by the name of the method.
    CALLS = {
        "generate": (["a?", b"b"], {"length": [700, 3], "seed": 5}),
        "inspect": (["ab"], {}),
        "score": ("ab?", {"state_bytes": b"fake:3"}),
        "stream": ("a", {"length": 100, "seed": 5, "chunk": 30}),
        "versions": (None, {}),
    }

    def test_it_says_what_the_other_client_says(self):
        for client_class in (Client, AsyncClient):
            names = {n for n in dir(client_class) if not n.startswith("_")}
            self.assertEqual(names, {*self.CALLS, "close"})
        directory = self.enter_context(tempfile.TemporaryDirectory())
        server = FakeServer(Path(directory))
        self.addCleanup(server.stop)
        with Client(server.target) as client:
            said = {name: _ask(client, name) for name in self.CALLS}
            said = {
                name: list(result) if name == "stream" else result
                for name, result in said.items()
            }

        async def ask():
            async with AsyncClient(server.target) as client:
                return {
                    name: [chunk async for chunk in _ask(client, name)]
                    if name == "stream"
                    else await _ask(client, name)
                    for name in self.CALLS
                }

        for name, result in asyncio.run(ask()).items():
            self.assertNotEmpty(result)
            self.assertEqual(
                [_plain(entry) for entry in result],
                [_plain(entry) for entry in said[name]],
                name,
            )

    def test_it_takes_what_the_other_client_takes(self):
        self.assertEqual(
            inspect.signature(AsyncClient), inspect.signature(Client)
        )
        for name in (*self.CALLS, "close"):
            self.assertEqual(
                _parameters(getattr(AsyncClient, name)),
                _parameters(getattr(Client, name)),
            )


def _ask(client, name):
    texts, options = TwinTest.CALLS[name]
    arguments = [] if texts is None else [texts]
    return getattr(client, name)(*arguments, **options)


def _parameters(method):
    """Returns name, kind, type and default of each parameter."""
    return [
        (
            parameter.name,
            parameter.kind,
            parameter.annotation,
            # Of a callback: no two functions are equal.
            None if callable(parameter.default) else parameter.default,
        )
        for parameter in inspect.signature(method).parameters.values()
    ]


def _plain(entry):
    if dataclasses.is_dataclass(entry):
        entry = vars(entry)
        return {
            name: value.tolist() if hasattr(value, "tolist") else value
            for name, value in entry.items()
        }
    return entry


if __name__ == "__main__":
    absltest.main()
