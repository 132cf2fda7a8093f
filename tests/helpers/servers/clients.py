"""The asynchronous client behind the face of the other one, for tests."""

import asyncio
import threading

from kerasrnn_serving.async_client import AsyncClient


class AsyncInThread:
    """An `AsyncClient` on an event loop of its own, called from threads."""

    def __init__(self, *arguments, **options):
        self._client = AsyncClient(*arguments, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def close(self):
        self._wait(self._client.close())

    def _wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **options):
            result = method(*arguments, **options)
            if hasattr(result, "__anext__"):
                return self._iterate(result)
            return self._wait(result)

        return call

    def _iterate(self, iterator):
        while True:
            try:
                item = self._wait(anext(iterator))
            except StopAsyncIteration:
                return
            yield item
