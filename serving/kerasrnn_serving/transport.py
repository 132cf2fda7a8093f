"""Calls of a server from threads, each with a deadline and a second attempt.

The second attempt goes over a connection of its own where the first one was
lost; see `repeats` for which calls have one.
"""

import contextlib
import threading

import grpc

from kerasrnn.errors import UserError
from kerasrnn_serving import serving_error
from kerasrnn_serving.channel import Target
from kerasrnn_serving.connection import Connection
from kerasrnn_serving.exchange import Call
from kerasrnn_serving.repeats import Attempts
from kerasrnn_serving.repeats import Budget
from kerasrnn_serving.repeats import lost_connection


class Transport:
    """Makes calls of one target; they may come from many threads.

    Args:
        target: Where to, and how.
    """

    def __init__(self, target: Target):
        self._target = target
        self._lock = threading.Lock()
        self._connection = self._connect()
        self._closed = False
        self._budget = Budget()
        # Once a server has answered, calls wait for it to come back.
        self._answered = False

    def _connect(self):
        return Connection(self._target.open())

    def send(self, call: Call):
        """Makes a call and returns the reply.

        Raises:
            ServingError: The server refused it, or none answered in time.
        """
        attempts = Attempts(self._target.timeout, self._budget)
        failed = None
        while True:
            with self._use(failed) as connection:
                try:
                    return self._attempt(connection, call, attempts.begin())
                except grpc.RpcError as error:
                    if not attempts.goes_on(error):
                        raise serving_error.from_rpc(
                            error, self._target
                        ) from None
                    if lost_connection(error):
                        failed = connection

    def _attempt(self, connection, call, seconds):
        reply = connection.method(call)(
            call.request,
            timeout=seconds,
            metadata=self._target.metadata,
            wait_for_ready=self._answered,
        )
        self._answered = True
        self._budget.earn()
        return reply

    @contextlib.contextmanager
    def _use(self, failed):
        """Yields a connection other than the failed one, open meanwhile.

        One that is given up is closed when the last call on it has ended.
        """
        with self._lock:
            if self._closed:
                raise UserError("The client is closed; make another one.")
            if failed is self._connection:
                self._connection = self._connect()
            connection = self._connection
            connection.users += 1
        self._close_unused(failed)
        try:
            yield connection
        finally:
            with self._lock:
                connection.users -= 1
            self._close_unused(connection)

    def _close_unused(self, connection):
        with self._lock:
            keep = connection in (None, self._connection) or connection.users
        if not keep:
            connection.channel.close()

    def close(self) -> None:
        """Closes the channel; calls that are running fail."""
        with self._lock:
            self._closed = True
        self._connection.channel.close()
