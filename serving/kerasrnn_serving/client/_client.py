"""The client for threads."""

from kerasrnn_serving.client._connection.exchange import drive
from kerasrnn_serving.client._connection.transport import Transport
from kerasrnn_serving.client._methods import ClientMethods


class Client(ClientMethods):
    """A connection to one model on one server.

    It may be used from many threads. Close it, or use it in `with`. See
    `ClientMethods` for the arguments.
    """

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Closes the connection; calls that are running fail."""
        self._transport.close()

    def _make_transport(self, target):
        return Transport(target)

    def _run(self, conversation):
        (result,) = self._iterate(conversation)
        return result

    def _iterate(self, conversation):
        return drive(conversation, self._transport.send)
