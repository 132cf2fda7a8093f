"""Is `transport` for an event loop."""

import asyncio

import grpc
from grpc import aio

from kerasrnn_serving.client import errors
from kerasrnn_serving.client._connection import connection as connections
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.connection import Connection
from kerasrnn_serving.client._connection.connection import Finding
from kerasrnn_serving.client._connection.exchange import Call
from kerasrnn_serving.client._connection.pace import Pace
from kerasrnn_serving.client._connection.retries import Attempts
from kerasrnn_serving.client._connection.retries import Budget

# After so many seconds a call that waits notices that its client was closed.
_LONGEST_SLEEP = 0.5


class AsyncTransport:
    """Makes calls of one target, from the tasks of one event loop.

    Args:
        target: Where to, and how.
    """

    def __init__(self, target: Target):
        self._target = target
        # A channel belongs to the loop that runs when it is made.
        self._connection = None
        self._running = 0
        self._watcher = None
        self._closed = False
        self._budget = Budget()
        self._pace = Pace()
        self._answered = False
        self._told = False

    async def send(self, call: Call):
        """Makes a call and returns the reply.

        Raises:
            ServingError: The server refused it, or none answered in time.
        """
        attempts = Attempts(self._target.timeout, self._budget, self._pace)
        failed = None
        while True:
            await self._wait_for_turn(attempts)
            connection = await self._take(failed)
            try:
                return await self._attempt(connection, call, attempts)
            except grpc.RpcError as error:
                if connection.given_up:
                    failed = connection
                elif not attempts.goes_on(error):
                    raise errors.from_rpc(
                        error, self._target, connection.trouble
                    ) from None
                elif errors.lost_connection(error):
                    failed = connection
            except (asyncio.CancelledError, aio.UsageError):
                # Closing the channel cancels what runs on it.
                if asyncio.current_task().cancelling():
                    raise
                if not (self._closed or connection.given_up):
                    raise
                failed = connection
            finally:
                connection.users -= 1
                self._running -= 1
                await self._close_unused(connection)

    async def _wait_for_turn(self, attempts):
        try:
            while delay := attempts.delay():
                await asyncio.sleep(min(delay, _LONGEST_SLEEP))
                if self._closed:
                    raise errors.closed()
        except grpc.RpcError as error:
            raise errors.from_rpc(error, self._target) from None
        finally:
            attempts.stop_waiting()

    async def _attempt(self, connection, call, attempts):
        reply = await connection.method(call)(
            call.request,
            timeout=attempts.begin(),
            metadata=self._target.metadata,
            wait_for_ready=self._answered,
        )
        connection.answers += 1
        connection.trouble = None
        self._answered, self._told = True, False
        attempts.succeeded()
        return reply

    async def _take(self, failed):
        """Returns a connection other than the failed one, with one user more.

        One that is given up is closed when the last call on it has ended.
        """
        if self._closed:
            raise errors.closed()
        if self._connection is None:
            self._connection = Connection(self._target.open(aio))
        elif failed is self._connection:
            self._replace_connection()
        connection = self._connection
        connection.users += 1
        self._running += 1
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        if failed is not None:
            await self._close_unused(failed)
        return connection

    def _replace_connection(self):
        self._connection = Connection(
            self._target.open(aio), replaces_another=True
        )

    async def _close_unused(self, connection):
        if connection is not self._connection and not connection.users:
            await connection.channel.close()

    async def _watch(self):
        """Looks after the connection until no call runs any more."""
        seen = None
        while True:
            await asyncio.sleep(connections.quiet_seconds(self._target.timeout))
            if self._closed or not self._running:
                self._watcher = None
                return
            connection = self._connection
            if seen == (connection, connection.answers):
                await self._look_at(connection)
            seen = (connection, connection.answers)

    async def _look_at(self, connection):
        error = None
        try:
            await connection.method(connections.PROBE)(
                connections.PROBE.request,
                timeout=connections.probe_seconds(self._target.timeout),
            )
        except grpc.RpcError as failure:
            error = failure
        except (asyncio.CancelledError, aio.UsageError):
            if asyncio.current_task().cancelling():
                raise
            return  # closed meanwhile
        found = connections.finding(error)
        connection.trouble = error if found == Finding.NO_SERVER else None
        if connection.trouble and self._answered and not self._told:
            self._told = True
            errors.warn(error, self._target)
        if found == Finding.DEAD:
            await self._give_up(connection)

    async def _give_up(self, connection):
        """Ends the calls of a dead connection, which go to another one."""
        if (
            connection is not self._connection
            or not connection.can_be_given_up
            or not self._budget.is_left
        ):
            return
        self._budget.spend()
        connection.given_up = True
        self._replace_connection()
        await connection.channel.close()

    async def close(self) -> None:
        """Closes the channel; calls that are running fail."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.cancel()
        if self._connection is not None:
            await self._connection.channel.close()
