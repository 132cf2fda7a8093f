"""How much of the texts that are read goes into one call."""

from kerasrnn.contract import signatures
from kerasrnn_serving.client._call_sizes import REPLY_BYTES
from kerasrnn_serving.client._call_sizes import inspection_sizes
from kerasrnn_serving.client._connection.conversation import Conversation
from kerasrnn_serving.client._model import Dimension
from kerasrnn_serving.client._model import Model

# How often less is asked for: each time half.
_SHRINKS = 4


class ReadingSizes:
    """The sizes of calls whose replies are small: what a model takes."""

    def of(self, version: int | None) -> Conversation[tuple[int, int]]:
        """Returns the rows, and the bytes of text of each, to ask for.

        Args:
            version: That is asked; None is the newest.

        Raises:
            ServingError: The server does not say it.
            VersionGone: The version is not served.
        """
        yield from ()
        return signatures.MAX_ROWS, signatures.MAX_PROMPT

    def shrink(self) -> bool:
        """Makes the sizes smaller, if it can, after too large a message."""
        return False


class InspectionSizes(ReadingSizes):
    """The sizes of calls of `inspect`, by what the version says of itself.

    Args:
        model: That is asked.
        rows: That there are.
        limit: Bytes that a reply may have; None is some megabytes.
    """

    def __init__(self, model: Model, rows: int, limit: int | None):
        self._model = model
        self._rows = rows
        self._limit = limit or REPLY_BYTES
        self._shrinks = 0

    def of(self, version: int | None) -> Conversation[tuple[int, int]]:
        """Returns what to ask for; see `ReadingSizes.of`."""
        units, _ = yield from self._units(version)
        return inspection_sizes(
            units, self._rows, max(self._limit >> self._shrinks, 1)
        )

    def shrink(self) -> bool:
        """Makes the sizes smaller; see `ReadingSizes.shrink`.

        A newer version may have more units than the one known, and a server
        may have merged the call with longer texts of others.
        """
        self._model.forget_newest()
        self._shrinks += 1
        return self._shrinks <= _SHRINKS

    def num_layers(self, version: int | None) -> Conversation[int | None]:
        """Returns a version's number of layers; None if it does not say it.

        Raises:
            ServingError: The call failed.
            VersionGone: The version is not served.
        """
        _, name = yield from self._units(version)
        return signatures.num_layers_named(name)

    def _units(self, version: int | None) -> Conversation[Dimension]:
        dimensions = yield from self._model.output_dimensions(
            signatures.INSPECT, "activations", version
        )
        return dimensions[-1] if dimensions else Dimension(0, "")
