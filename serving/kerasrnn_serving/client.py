"""The client of a served model; needs no TensorFlow.

    with Client("localhost:8500") as client:
        for chunk in client.stream("ROMEO:", length=1000):
            print(chunk.text, end="", flush=True)

`kerasrnn_serving.async_client` has the same for an event loop.
"""

from kerasrnn_serving.channel import Tls
from kerasrnn_serving.client_methods import CHUNK
from kerasrnn_serving.client_methods import FIRST_CHUNK
from kerasrnn_serving.client_methods import ClientMethods
from kerasrnn_serving.exchange import drive
from kerasrnn_serving.transport import Transport

__all__ = ["CHUNK", "FIRST_CHUNK", "Client", "Tls"]


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
