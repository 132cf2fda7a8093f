"""What a model does with a text, asked of a server or of this process."""

import re
from collections.abc import Callable
from collections.abc import Sequence
from typing import Protocol
from typing import TypeVar

from kerasrnn.command_line.output import remark
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.reporting.findings import shuffled
from kerasrnn.reporting.reading import Reading
from kerasrnn.reporting.reading import surprise
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import VersionGone
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score

# How often it begins again because a version went.
_RESTARTS = 3
_BYTE = re.compile(r"\\x([89a-f][0-9a-f])", re.IGNORECASE)

Result = TypeVar("Result")
Row = TypeVar("Row", Score, Inspection)


class Reader(Protocol):
    """What reads texts: a served version, or a model of this process."""

    def score(
        self, texts: Sequence[bytes], *, between_calls: Callable[[float], None]
    ) -> list[Score]:
        """Gives each text its probability."""

    def inspect(
        self, texts: Sequence[bytes], *, between_calls: Callable[[float], None]
    ) -> list[Inspection]:
        """Shows what the network does while it reads each text."""


class OneVersion:
    """Reads with one version of a served model.

    It is the newest one when it first reads.

    Args:
        client: Of the server.
    """

    def __init__(self, client: Client):
        self._client = client
        self._version: int | None = None

    def score(
        self, texts: Sequence[bytes], *, between_calls: Callable[[float], None]
    ) -> list[Score]:
        """Does as `Client.score`, with the version.

        Raises:
            VersionGone: It is not served any more.
        """
        return self._read(self._client.score, texts, between_calls)

    def inspect(
        self, texts: Sequence[bytes], *, between_calls: Callable[[float], None]
    ) -> list[Inspection]:
        """Does as `Client.inspect`, with the version.

        Raises:
            VersionGone: It is not served any more.
        """
        return self._read(self._client.inspect, texts, between_calls)

    def _read(
        self,
        function: Callable[..., list[Row]],
        texts: Sequence[bytes],
        between_calls: Callable[[float], None],
    ) -> list[Row]:
        rows = function(
            texts, version=self._version, between_calls=between_calls
        )
        self._version = rows[0].version
        return rows


def beginning_again(work: Callable[[], Result]) -> Result:
    """Does work with one version, or with a newer one if that one goes.

    Args:
        work: Each time it reads with another `OneVersion`.

    Raises:
        UserError: The versions do not stay long enough.
        Exception: What the work raises else.
    """
    restarts = 0
    while True:
        try:
            return work()
        except VersionGone as error:
            if restarts == _RESTARTS:
                raise UserError(
                    f"The server has replaced the model {_RESTARTS + 1} times "
                    "before all was read. Expected a version that stays: try "
                    "again later, or name one with --model_version. The last "
                    f"time: {error.said}"
                ) from None
        restarts += 1
        remark("The server has replaced the model; beginning again ...")


def read(
    model: Reader,
    text: bytes,
    num_layers: int | None = None,
    between_calls: Callable[[float], None] = lambda share: None,
) -> Reading:
    """Returns what a model does while it reads a text.

    Args:
        model: What reads the text.
        text: The text.
        num_layers: How many layers the units belong to; None takes what the
            model says, and one where it says nothing.
        between_calls: Called with the share of the work that is done.

    Raises:
        UserError: The text is empty, or the units do not make that many
            layers.
        ServingError: The server does not answer.
    """
    check_text(text)
    # The text is read twice.
    (inspection,) = model.inspect(
        [text], between_calls=lambda share: between_calls(share / 2)
    )
    (score,) = model.score(
        [text], between_calls=lambda share: between_calls((1 + share) / 2)
    )
    num_layers = num_layers or inspection.num_layers or 1
    units_per_layer(inspection.activations.shape[1], num_layers)
    return Reading(
        characters=inspection.characters,
        activations=inspection.activations,
        top_characters=inspection.top_characters,
        top_log_probs=inspection.top_log_probs,
        bits=surprise(score.character_log_probs, score.unknown),
        num_layers=num_layers,
    )


def check_text(text: bytes) -> None:
    """Checks that there is something to read.

    Raises:
        UserError: The text is empty.
    """
    if not text:
        raise UserError("The text is empty; give one with characters in it.")


def first_characters(text: bytes, length: int) -> bytes:
    """Returns the first characters of UTF-8; what is none counts as one."""
    cut = text[: 4 * length].decode("utf-8", "surrogateescape")[:length]
    return cut.encode("utf-8", "surrogateescape")


def shuffled_text(reading: Reading) -> bytes:
    """Returns the characters that were read, in random order."""
    return b"".join(map(_encoded, shuffled(reading.characters)))


def units_per_layer(units: int, num_layers: int) -> int:
    """Returns how many units each of the layers has.

    Raises:
        UserError: The units do not make that many layers.
    """
    if units % num_layers:
        raise UserError(
            f"The model has {counted(units, 'unit')}, which cannot be divided "
            f"into {num_layers} equal layers; give the right --num_layers, or "
            "none."
        )
    return units // num_layers


def layer_and_unit(name: str) -> tuple[int, int]:
    """Returns the numbers in LAYER:UNIT, or 1 and that of UNIT alone.

    Raises:
        UserError: It is not of that kind.
    """
    match = re.fullmatch(r"(?:(\d+):)?(\d+)", name)
    if match is None:
        raise UserError(
            f"--unit={name}: expected LAYER:UNIT, both counted from 1, such "
            "as 2:17."
        )
    return int(match[1] or 1), int(match[2])


def unit_named(name: str | None, num_layers: int, per_layer: int) -> int | None:
    """Returns the index of the unit that is named LAYER:UNIT, from 1 on.

    Args:
        name: The name; None is no unit.
        num_layers: Layers of the model.
        per_layer: Units of each.

    Raises:
        UserError: There is no such unit.
    """
    if name is None:
        return None
    layer, unit = layer_and_unit(name)
    if 1 <= layer <= num_layers and 1 <= unit <= per_layer:
        return (layer - 1) * per_layer + unit - 1
    raise UserError(
        f"There is no --unit={name}: the model has layers 1 to {num_layers} "
        f"and units 1 to {per_layer:,} in each."
    )


def _encoded(character):
    byte = _BYTE.fullmatch(character)
    if byte is not None:
        return bytes([int(byte[1], 16)])
    return character.encode("utf-8", "replace")
