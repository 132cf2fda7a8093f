"""The client for an event loop, under the name that it has had from the start.

    from kerasrnn_serving.async_client import AsyncClient

is `from kerasrnn_serving.client import AsyncClient`.
"""

from kerasrnn_serving.client import AsyncClient
from kerasrnn_serving.client import Tls

__all__ = ["AsyncClient", "Tls"]
