"""What a model does with a text, asked of a server or of this process."""

import re
from collections.abc import Callable

from kerasrnn.errors import UserError
from kerasrnn.reporting.findings import shuffled
from kerasrnn.reporting.reading import Reading
from kerasrnn.reporting.reading import surprise

_BYTE = re.compile(r"\\x([89a-f][0-9a-f])", re.IGNORECASE)


def read(
    model,
    text: bytes,
    num_layers: int | None = None,
    between_calls: Callable[[float], None] = lambda share: None,
) -> Reading:
    """Returns what a model does while it reads a text.

    Args:
        model: A `kerasrnn_serving.client.Client`, or what has its `inspect`
            and `score`.
        text: The text.
        num_layers: How many layers the units belong to; None takes what the
            model says, and one where it says nothing.
        between_calls: Called with the share of the work that is done.

    Raises:
        UserError: The text is empty, or the units do not make that many
            layers.
        ServingError: The server does not answer.
    """
    if not text:
        raise UserError("The text is empty; give one with characters in it.")
    # The text is read twice.
    (inspection,) = model.inspect(
        [text], between_calls=lambda share: between_calls(share / 2)
    )
    (score,) = model.score(
        [text], between_calls=lambda share: between_calls((1 + share) / 2)
    )
    units = inspection.activations.shape[1]
    num_layers = num_layers or inspection.num_layers or 1
    if units % num_layers:
        raise UserError(
            f"The model has {units:,} units, which are not {num_layers} "
            "equal layers; give the right --num_layers, or none."
        )
    return Reading(
        characters=inspection.characters,
        activations=inspection.activations,
        top_characters=inspection.top_characters,
        top_log_probs=inspection.top_log_probs,
        bits=surprise(score.character_log_probs, score.unknown),
        num_layers=num_layers,
    )


def first_characters(text: bytes, length: int) -> bytes:
    """Returns the first characters of UTF-8; what is none counts as one."""
    cut = text[: 4 * length].decode("utf-8", "surrogateescape")[:length]
    return cut.encode("utf-8", "surrogateescape")


def shuffled_text(reading: Reading) -> bytes:
    """Returns the characters that were read, in random order."""
    return b"".join(map(_encoded, shuffled(reading.characters)))


def unit_named(name: str | None, reading: Reading) -> int | None:
    """Returns the index of the unit that is named LAYER:UNIT, from 1 on.

    Raises:
        UserError: There is no such unit.
    """
    if name is None:
        return None
    match = re.fullmatch(r"(?:(\d+):)?(\d+)", name)
    if match is not None:
        layer, within = int(match[1] or 1), int(match[2])
        if (
            1 <= layer <= reading.num_layers
            and 1 <= within <= reading.units_per_layer
        ):
            return (layer - 1) * reading.units_per_layer + within - 1
    raise UserError(
        f"--unit={name} is none: give LAYER:UNIT, a layer from 1 to "
        f"{reading.num_layers} and a unit from 1 to "
        f"{reading.units_per_layer:,}."
    )


def _encoded(character):
    byte = _BYTE.fullmatch(character)
    if byte is not None:
        return bytes([int(byte[1], 16)])
    return character.encode("utf-8", "replace")
