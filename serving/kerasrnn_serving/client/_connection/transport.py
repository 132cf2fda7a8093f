"""Calls of a server from threads, each with a deadline and further attempts.

While calls run a thread looks whether their connection is alive; see
`connection`. For which calls are made again, see `repeats`.
"""

import contextlib
import threading

import grpc

from kerasrnn_serving.client import errors
from kerasrnn_serving.client._connection import connection as connections
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.connection import Connection
from kerasrnn_serving.client._connection.connection import Finding
from kerasrnn_serving.client._connection.exchange import Call
from kerasrnn_serving.client._connection.pace import Pace
from kerasrnn_serving.client._connection.retries import Attempts
from kerasrnn_serving.client._connection.retries import Budget


class Transport:
    """Makes calls of one target; they may come from many threads.

    Args:
        target: Where to, and how.
    """

    def __init__(self, target: Target):
        self._target = target
        self._lock = threading.Lock()
        self._connection = Connection(target.open())
        self._running = 0
        self._watcher = None
        self._closed = threading.Event()
        self._budget = Budget()
        self._pace = Pace()
        # Once a server has answered, calls wait for it to come back.
        self._answered = False
        self._told = False

    def send(self, call: Call):
        """Makes a call and returns the reply.

        Raises:
            ServingError: The server refused it, or none answered in time.
        """
        attempts = Attempts(self._target.timeout, self._budget, self._pace)
        failed = None
        while True:
            self._wait_for_turn(attempts)
            with self._use(failed) as connection:
                try:
                    return self._attempt(connection, call, attempts)
                except grpc.RpcError as error:
                    if connection.given_up:
                        failed = connection
                    elif not attempts.goes_on(error):
                        raise errors.from_rpc(
                            error, self._target, connection.trouble
                        ) from None
                    elif errors.lost_connection(error):
                        failed = connection
                except ValueError:
                    # Of a channel that was closed before the call was made.
                    if not (self._closed.is_set() or connection.given_up):
                        raise
                    failed = connection

    def _wait_for_turn(self, attempts):
        try:
            while delay := attempts.delay():
                if self._closed.wait(delay):
                    raise errors.closed()
        except grpc.RpcError as error:
            raise errors.from_rpc(error, self._target) from None
        finally:
            attempts.stop_waiting()

    def _attempt(self, connection, call, attempts):
        reply = connection.method(call)(
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

    @contextlib.contextmanager
    def _use(self, failed):
        """Yields a connection other than the failed one, open meanwhile.

        One that is given up is closed when the last call on it has ended.
        """
        with self._lock:
            if self._closed.is_set():
                raise errors.closed()
            if failed is self._connection:
                self._replace_connection()
            connection = self._connection
            connection.users += 1
            self._running += 1
            if self._watcher is None:
                self._watcher = threading.Thread(
                    target=self._watch, name="watch", daemon=True
                )
                self._watcher.start()
        self._close_unused(failed)
        try:
            yield connection
        finally:
            with self._lock:
                connection.users -= 1
                self._running -= 1
            self._close_unused(connection)

    def _replace_connection(self):
        self._connection = Connection(
            self._target.open(), replaces_another=True
        )

    def _close_unused(self, connection):
        with self._lock:
            keep = connection in (None, self._connection) or connection.users
        if not keep:
            connection.channel.close()

    def _watch(self):
        """Looks after the connection until no call runs any more."""
        seen = None
        while True:
            self._closed.wait(connections.quiet_seconds(self._target.timeout))
            with self._lock:
                if self._closed.is_set() or not self._running:
                    self._watcher = None
                    return
                connection = self._connection
            if seen == (connection, connection.answers):
                self._look_at(connection)
            seen = (connection, connection.answers)

    def _look_at(self, connection):
        error = None
        try:
            connection.method(connections.PROBE)(
                connections.PROBE.request,
                timeout=connections.probe_seconds(self._target.timeout),
            )
        except grpc.RpcError as failure:
            error = failure
        except ValueError:
            return  # closed meanwhile
        found = connections.finding(error)
        connection.trouble = error if found == Finding.NO_SERVER else None
        if connection.trouble and self._answered and not self._told:
            self._told = True
            errors.warn(error, self._target)
        if found == Finding.DEAD:
            self._give_up(connection)

    def _give_up(self, connection):
        """Ends the calls of a dead connection, which go to another one."""
        with self._lock:
            if (
                connection is not self._connection
                or not connection.can_be_given_up
                or not self._budget.is_left
            ):
                return
            self._budget.spend()
            connection.given_up = True
            self._replace_connection()
        connection.channel.close()

    def close(self) -> None:
        """Closes the channel; calls that are running fail."""
        with self._lock:
            self._closed.set()
        self._connection.channel.close()
