"""What both clients are made from."""

from typing import Generic
from typing import NoReturn
from typing import TypeVar

from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import shown
from kerasrnn_serving.client._arguments import version_number
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.channel import Tls
from kerasrnn_serving.client._model import Model

FIRST_CHUNK = 8
"""Characters of a stream's first chunk: few, so that it arrives at once."""
CHUNK = 64
"""Characters of the other chunks."""

Transport = TypeVar("Transport")


class BaseClient(Generic[Transport]):
    """The settings of a client, checked; see `Client` for what they are."""

    def __init__(
        self,
        target: str,
        model: str = "kerasrnn",
        *,
        version: int | None = None,
        timeout: float = 60.0,
        tls: Tls | None = None,
        token: str | None = None,
        max_message_bytes: int | None = None,
    ):
        for name, text in (("model", model), ("token", token)):
            if not isinstance(text, str) and (name, text) != ("token", None):
                raise UserError(f"{name} must be text, not {shown(text)}.")
        version_number(version)
        self._model = Model(target, model, version)
        self._max_message_bytes = max_message_bytes
        self._transport = self._make_transport(
            Target(
                address=target,
                model=model,
                timeout=timeout,
                tls=tls,
                token=token,
                max_message_bytes=max_message_bytes,
            )
        )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuses to be pickled and copied, in a sentence."""
        raise UserError(
            "A client holds a connection, and can be neither pickled nor "
            "copied: make one in each process."
        )

    def _make_transport(self, target: Target) -> Transport:
        raise NotImplementedError
