"""Calls of a server from threads, each with a deadline and further attempts.

While calls run a thread looks whether their connection is alive; what follows
from that and from failures is decided in `connections`.
"""

import threading

import grpc

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


class Transport:
    """Makes calls of one target; they may come from many threads.

    Args:
        target: Where to, and how.
    """

    def __init__(self, target: Target):
        self._target = target
        self._connections = Connections[grpc.Channel](target, target.open)

    def send(self, call: Call[Reply]) -> Reply:
        """Makes a call and returns the reply.

        Raises:
            ServingError: The server refused it, or none answered in time.
        """
        attempts = self._connections.attempts()
        while True:
            self._wait_for_turn(attempts)
            connection = self._connections.take()
            try:
                self._ensure_watch()
                return self._attempt(connection, call, attempts)
            except grpc.RpcError as error:
                self._connections.failed(connection, attempts, error)
            except ValueError:
                # Of a channel that was closed before the call was made.
                if not self._connections.was_ended_here(connection):
                    raise
            finally:
                if self._connections.release(connection):
                    connection.channel.close()

    def _wait_for_turn(self, attempts: Attempts) -> None:
        try:
            while delay := attempts.delay():
                if self._connections.closed.wait(delay):
                    raise failures.closed()
        except grpc.RpcError as error:
            raise failures.from_rpc(error, self._target) from None
        finally:
            attempts.stop_waiting()

    def _attempt(
        self,
        connection: Connection[grpc.Channel],
        call: Call[Reply],
        attempts: Attempts,
    ) -> Reply:
        reply: Reply = connection.method(call)(
            call.request,
            timeout=attempts.begin(),
            metadata=self._target.metadata,
            wait_for_ready=self._connections.has_answered,
        )
        self._connections.succeeded(connection, attempts)
        return reply

    def _ensure_watch(self) -> None:
        if self._connections.begin_watch():
            threading.Thread(
                target=self._watch, name="watch", daemon=True
            ).start()

    def _watch(self) -> None:
        """Looks after the connection until no call runs any more."""
        seen = None
        while True:
            self._connections.closed.wait(quiet_seconds(self._target.timeout))
            connection = self._connections.to_watch()
            if connection is None:
                return
            if seen == (connection, connection.answers):
                self._probe(connection)
            seen = (connection, connection.answers)

    def _probe(self, connection: Connection[grpc.Channel]) -> None:
        error = None
        try:
            connection.method(PROBE)(
                PROBE.request, timeout=probe_seconds(self._target.timeout)
            )
        except grpc.RpcError as failure:
            error = failure
        except ValueError:
            return  # closed meanwhile
        if self._connections.probed(connection, error):
            connection.channel.close()

    def close(self) -> None:
        """Closes the channel; calls that are running fail."""
        connection = self._connections.close()
        if connection is not None:
            connection.channel.close()
