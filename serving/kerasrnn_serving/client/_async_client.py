"""The client for an event loop."""

from kerasrnn_serving.client._connection.async_transport import AsyncTransport
from kerasrnn_serving.client._connection.exchange import drive_async
from kerasrnn_serving.client._methods import ClientMethods


class AsyncClient(ClientMethods):
    """Is `Client` for the tasks of one event loop.

    What `Client` returns is awaited here, and its iterators are asynchronous
    ones. A task that is cancelled cancels its call.
    """

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *exception):
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls that are running fail."""
        await self._transport.close()

    def _make_transport(self, target):
        return AsyncTransport(target)

    async def _run(self, conversation):
        results = [result async for result in self._iterate(conversation)]
        return results[0]

    def _iterate(self, conversation):
        return drive_async(conversation, self._transport.send)
