"""The asynchronous client on an event loop of its caller's.

That it does what the other client does is in `client_test`, `channel_test`
and `client_faults_test`, which run over both.
"""

import asyncio
import inspect
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from absl.testing import absltest
from fake_servable import FakeServer
from fake_servable import expected
from kerasrnn_serving.async_client import AsyncClient
from kerasrnn_serving.client import Client

_TIMEOUT = 60


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
        predict = self.server.loaded[1].predict
        begun, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def held(request, timeout):
            begun.set()
            release.wait(_TIMEOUT)
            return predict(request, timeout)

        async with AsyncClient(self.server.target) as client:
            await client.versions()
            self.server.loaded[1].predict = held
            task = asyncio.create_task(client.generate("a"))
            await asyncio.to_thread(begun.wait, _TIMEOUT)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.server.loaded[1].predict = predict
            (result,) = await client.generate("a", length=3, seed=2)
        self.assertEqual(result.text, expected(1, 2, 3))


class TwinTest(absltest.TestCase):
    def test_it_has_the_same_methods_and_arguments(self):
        names = [n for n in dir(Client) if not n.startswith("_")]
        self.assertContainsSubset(
            ["close", "generate", "inspect", "score", "stream", "versions"],
            names,
        )
        for name in names:
            self.assertEqual(
                [*inspect.signature(getattr(AsyncClient, name)).parameters],
                [*inspect.signature(getattr(Client, name)).parameters],
            )

    def test_needs_no_tensorflow(self):
        code = (
            "import sys, kerasrnn_serving.async_client; "
            "sys.exit('tensorflow' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    absltest.main()
