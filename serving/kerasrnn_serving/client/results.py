"""What the client returns."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class VersionStatus(NamedTuple):
    """A version of a model that a server knows.

    Attributes:
        version: Its number.
        state: "START", "LOADING", "AVAILABLE", "UNLOADING" or "END".
        error: The error that it ended with; "" if there was none.
    """

    version: int
    state: str
    error: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generation:
    """A generated text, or a chunk of one.

    Attributes:
        text: What was generated, without the prompt.
        length: Characters generated; bytes if the vocabulary has bytes.
        log_prob: Sum of log p(character) at temperature 1, nats.
        unknown: Characters of the prompt outside the vocabulary.
        finish: "length" or "stop"; "" for a chunk that others follow.
        state_bytes: The token to continue from.
        seed: The seed that reproduces this text.
        version: The model's version.
        restarted: Whether the server unloaded the version that a stream began
            with, and this one read the text so far and continued. The seed
            alone then does not reproduce the text.
    """

    text: str
    length: int
    log_prob: float
    unknown: int
    finish: str
    state_bytes: bytes = dataclasses.field(repr=False)
    seed: int
    version: int
    restarted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """How likely a text is.

    Attributes:
        log_prob: Sum of log p(character) over the characters scored, nats.
        length: Characters scored: all but the unknown ones.
        unknown: Characters outside the vocabulary.
        character_log_probs: float32 [length + unknown], log p of each
            character read, nats; 0 for unknown ones.
        state_bytes: The token to continue from.
        version: The model's version.
    """

    log_prob: float
    length: int
    unknown: int
    character_log_probs: NDArray[np.float32] = dataclasses.field(repr=False)
    state_bytes: bytes = dataclasses.field(repr=False)
    version: int

    @property
    def nats_per_character(self) -> float:
        """Mean loss of the characters scored; 0 if there are none."""
        return -self.log_prob / self.length if self.length else 0.0

    @property
    def bits_per_character(self) -> float:
        """The same in bits."""
        return self.nats_per_character / math.log(2)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    r"""What the network does while it reads a text of T characters.

    Attributes:
        characters: The T characters read; a byte from 0x80 on is \xNN.
        activations: float32 [T, layers * units], h after each character.
        top_characters: For each character the most likely next ones, most
            likely first.
        top_log_probs: float32 [T, 5], their log probabilities, nats.
        num_layers: Number of layers that the units belong to, one after the
            other; None for earlier exports, which do not say it.
        state_bytes: The token to continue from.
        version: The model's version.
    """

    characters: tuple[str, ...]
    activations: NDArray[np.float32] = dataclasses.field(repr=False)
    top_characters: tuple[tuple[str, ...], ...] = dataclasses.field(repr=False)
    top_log_probs: NDArray[np.float32] = dataclasses.field(repr=False)
    num_layers: int | None
    state_bytes: bytes = dataclasses.field(repr=False)
    version: int
