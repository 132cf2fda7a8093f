"""The client of a served model; needs no TensorFlow.

    with Client("localhost:8500") as client:
        for chunk in client.stream("ROMEO:", length=1000):
            print(chunk.text, end="", flush=True)

`AsyncClient` has the same for an event loop. What the methods return is in
`kerasrnn_serving.client.results`. Calls that fail raise `ServingError`, wrong
arguments `kerasrnn.UserError`. Modules whose names begin with an underscore
are this package's own.
"""

from kerasrnn_serving.client._async_client import AsyncClient
from kerasrnn_serving.client._base_client import CHUNK
from kerasrnn_serving.client._base_client import FIRST_CHUNK
from kerasrnn_serving.client._client import Client
from kerasrnn_serving.client._connection.channel import Tls
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.client.errors import VersionGone
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score
from kerasrnn_serving.client.results import VersionStatus

__all__ = [
    "CHUNK",
    "FIRST_CHUNK",
    "AsyncClient",
    "Client",
    "Generation",
    "Inspection",
    "Score",
    "ServingError",
    "Tls",
    "VersionGone",
    "VersionStatus",
]
