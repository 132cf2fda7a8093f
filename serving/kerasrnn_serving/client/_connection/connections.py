"""Which connection a client's calls go over, and what follows when it fails.

All that a client decides about its connections is decided here; `Transport`
and `AsyncTransport` do what it says, with threads or on an event loop.
"""

import threading
from collections.abc import Callable
from typing import Generic

import grpc

from kerasrnn_serving.client._connection import failures
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.connection import Channel
from kerasrnn_serving.client._connection.connection import Connection
from kerasrnn_serving.client._connection.connection import Finding
from kerasrnn_serving.client._connection.connection import finding
from kerasrnn_serving.client._connection.retries import Attempts
from kerasrnn_serving.client._connection.retries import Budget
from kerasrnn_serving.client._connection.throttle import Throttle


class Connections(Generic[Channel]):
    """The connection of a client, and those that it has replaced.

    A connection that is replaced stays open until the last call on it has
    ended. While calls run, a watcher is to look at the connection again and
    again (`to_watch`).

    Args:
        target: Where to, and how.
        open_channel: Opens a channel there.

    Attributes:
        closed: Set once the client is closed.
        has_answered: Whether a server has answered once: from then on, calls
            wait for it to come back.
    """

    def __init__(self, target: Target, open_channel: Callable[[], Channel]):
        self.closed = threading.Event()
        self.has_answered = False
        self._target = target
        self._open_channel: Callable[[], Channel] = open_channel
        self._lock = threading.Lock()
        self._current: Connection[Channel] | None = None
        self._running = 0
        self._is_watched = False
        self._absence_is_told = False
        self._budget = Budget()
        self._throttle = Throttle()

    def attempts(self) -> Attempts:
        """Returns the attempts of a call that begins now."""
        return Attempts(self._target.timeout, self._budget, self._throttle)

    def take(self) -> Connection[Channel]:
        """Returns the connection for an attempt; to be released after it.

        Raises:
            UserError: The client is closed.
        """
        with self._lock:
            if self.closed.is_set():
                raise failures.closed()
            if self._current is None:
                self._current = Connection(self._open_channel())
            self._current.users += 1
            self._running += 1
            return self._current

    def release(self, connection: Connection[Channel]) -> bool:
        """Ends an attempt; returns whether the connection is to be closed."""
        with self._lock:
            connection.users -= 1
            self._running -= 1
            return connection is not self._current and not connection.users

    def succeeded(
        self, connection: Connection[Channel], attempts: Attempts
    ) -> None:
        """Takes an answer into account."""
        connection.answers += 1
        connection.trouble = None
        self.has_answered, self._absence_is_told = True, False
        attempts.succeeded()

    def failed(
        self,
        connection: Connection[Channel],
        attempts: Attempts,
        error: grpc.RpcError,
    ) -> None:
        """Records a failure; returns if another attempt is allowed.

        Raises:
            ServingError: No further attempt is allowed.
        """
        if connection.given_up:
            return
        if not attempts.plan_another(error):
            raise failures.from_rpc(
                error, self._target, connection.trouble
            ) from None
        if failures.lost_connection(error):
            with self._lock:
                self._replace(connection)

    def was_ended_here(self, connection: Connection[Channel]) -> bool:
        """Whether the client itself has ended the calls of a connection."""
        return self.closed.is_set() or connection.given_up

    def begin_watch(self) -> bool:
        """Returns whether the caller must start a watcher: none runs yet."""
        with self._lock:
            begins = not self._is_watched
            self._is_watched = True
            return begins

    def to_watch(self) -> Connection[Channel] | None:
        """Returns what the watcher is to look at; None ends it."""
        with self._lock:
            if self.closed.is_set() or not self._running:
                self._is_watched = False
                return None
            return self._current

    def probed(
        self, connection: Connection[Channel], error: grpc.RpcError | None
    ) -> bool:
        """Takes the outcome of a probe into account.

        Args:
            connection: That was probed.
            error: What the probe has ended with; None where it was answered.

        Returns:
            Whether the connection is given up. Then it is to be closed: that
            ends its calls, which go to another one.
        """
        found = finding(error)
        connection.trouble = error if found == Finding.NO_SERVER else None
        if (
            connection.trouble is not None
            and self.has_answered
            and not self._absence_is_told
        ):
            self._absence_is_told = True
            failures.warn(connection.trouble, self._target)
        if found != Finding.DEAD:
            return False
        with self._lock:
            if (
                self.closed.is_set()
                or connection is not self._current
                or not connection.can_be_given_up
                or not self._budget.is_left
            ):
                return False
            self._budget.spend()
            connection.given_up = True
            self._replace(connection)
        return True

    def _replace(self, connection: Connection[Channel]) -> None:
        if connection is self._current and not self.closed.is_set():
            self._current = Connection(
                self._open_channel(), replaces_another=True
            )

    def close(self) -> Connection[Channel] | None:
        """Closes the client; returns the connection to be closed, if any."""
        with self._lock:
            self.closed.set()
            return self._current
