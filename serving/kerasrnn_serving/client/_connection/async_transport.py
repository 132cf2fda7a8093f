"""The counterpart of `transport` for an event loop."""

import asyncio

import grpc
from grpc import aio

from kerasrnn_serving.client._connection import failures
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.connection import PROBE
from kerasrnn_serving.client._connection.connection import Connection
from kerasrnn_serving.client._connection.connection import probe_seconds
from kerasrnn_serving.client._connection.connection import quiet_seconds
from kerasrnn_serving.client._connection.connections import Connections
from kerasrnn_serving.client._connection.conversation import Call
from kerasrnn_serving.client._connection.conversation import Reply
from kerasrnn_serving.client._connection.retries import Attempts

# After so many seconds a call that waits notices that its client was closed.
_LONGEST_SLEEP = 0.5


class AsyncTransport:
    """Makes calls of one target, from the tasks of one event loop.

    Args:
        target: Where to, and how.
    """

    def __init__(self, target: Target):
        self._target = target
        # A channel belongs to the loop that runs when it is opened.
        self._connections = Connections[aio.Channel](target, target.open_async)
        self._watcher: asyncio.Task[None] | None = None

    async def send(self, call: Call[Reply]) -> Reply:
        """Makes a call and returns the reply.

        Raises:
            ServingError: The server refused it, or none answered in time.
        """
        attempts = self._connections.attempts()
        while True:
            await self._wait_for_turn(attempts)
            connection = self._connections.take()
            try:
                self._ensure_watch()
                return await self._attempt(connection, call, attempts)
            except grpc.RpcError as error:
                self._connections.failed(connection, attempts, error)
            except (asyncio.CancelledError, aio.UsageError):
                # Closing the channel cancels what runs on it.
                if _is_cancelled() or not self._connections.was_ended_here(
                    connection
                ):
                    raise
            finally:
                if self._connections.release(connection):
                    await connection.channel.close()

    async def _wait_for_turn(self, attempts: Attempts) -> None:
        try:
            while delay := attempts.delay():
                await asyncio.sleep(min(delay, _LONGEST_SLEEP))
                if self._connections.closed.is_set():
                    raise failures.closed()
        except grpc.RpcError as error:
            raise failures.from_rpc(error, self._target) from None
        finally:
            attempts.stop_waiting()

    async def _attempt(
        self,
        connection: Connection[aio.Channel],
        call: Call[Reply],
        attempts: Attempts,
    ) -> Reply:
        reply: Reply = await connection.method(call)(
            call.request,
            timeout=attempts.begin(),
            metadata=self._target.metadata,
            wait_for_ready=self._connections.has_answered,
        )
        self._connections.succeeded(connection, attempts)
        return reply

    def _ensure_watch(self) -> None:
        if self._connections.begin_watch():
            self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Looks after the connection until no call runs any more."""
        seen = None
        while True:
            await asyncio.sleep(quiet_seconds(self._target.timeout))
            connection = self._connections.to_watch()
            if connection is None:
                return
            if seen == (connection, connection.answers):
                await self._probe(connection)
            seen = (connection, connection.answers)

    async def _probe(self, connection: Connection[aio.Channel]) -> None:
        error = None
        try:
            await connection.method(PROBE)(
                PROBE.request, timeout=probe_seconds(self._target.timeout)
            )
        except grpc.RpcError as failure:
            error = failure
        except (asyncio.CancelledError, aio.UsageError):
            if _is_cancelled():
                raise
            return  # closed meanwhile
        if self._connections.probed(connection, error):
            await connection.channel.close()

    async def close(self) -> None:
        """Closes the channel; calls that are running fail."""
        connection = self._connections.close()
        if self._watcher is not None:
            self._watcher.cancel()
        if connection is not None:
            await connection.channel.close()


def _is_cancelled() -> bool:
    """Whether the task that runs was asked to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
