"""Is `transport` for an event loop."""

import asyncio

import grpc
from grpc import aio

from kerasrnn.errors import UserError
from kerasrnn_serving import serving_error
from kerasrnn_serving.channel import Target
from kerasrnn_serving.connection import Connection
from kerasrnn_serving.exchange import Call
from kerasrnn_serving.repeats import Attempts
from kerasrnn_serving.repeats import Budget
from kerasrnn_serving.repeats import lost_connection


class AsyncTransport:
    """Makes calls of one target, from the tasks of one event loop.

    Args:
        target: Where to, and how.
    """

    def __init__(self, target: Target):
        self._target = target
        # A channel belongs to the loop that runs when it is made.
        self._connection = None
        self._closed = False
        self._budget = Budget()
        self._answered = False

    async def send(self, call: Call):
        """Makes a call and returns the reply.

        Raises:
            ServingError: The server refused it, or none answered in time.
        """
        attempts = Attempts(self._target.timeout, self._budget)
        failed = None
        while True:
            connection = await self._take(failed)
            try:
                return await self._attempt(connection, call, attempts.begin())
            except grpc.RpcError as error:
                if not attempts.goes_on(error):
                    raise serving_error.from_rpc(error, self._target) from None
                if lost_connection(error):
                    failed = connection
            except asyncio.CancelledError:
                # Closing the channel cancels what runs on it.
                if self._closed and not asyncio.current_task().cancelling():
                    raise _closed() from None
                raise
            finally:
                connection.users -= 1
                await self._close_unused(connection)

    async def _attempt(self, connection, call, seconds):
        reply = await connection.method(call)(
            call.request,
            timeout=seconds,
            metadata=self._target.metadata,
            wait_for_ready=self._answered,
        )
        self._answered = True
        self._budget.earn()
        return reply

    async def _take(self, failed):
        """Returns a connection other than the failed one, with one user more.

        One that is given up is closed when the last call on it has ended.
        """
        if self._closed:
            raise _closed()
        if failed is self._connection:
            self._connection = Connection(self._target.open(aio))
        connection = self._connection
        connection.users += 1
        if failed is not None:
            await self._close_unused(failed)
        return connection

    async def _close_unused(self, connection):
        if connection is not self._connection and not connection.users:
            await connection.channel.close()

    async def close(self) -> None:
        """Closes the channel; calls that are running fail."""
        self._closed = True
        if self._connection is not None:
            await self._connection.channel.close()


def _closed():
    return UserError("The client is closed; make another one.")
