"""What a network did while it read a text, as arrays.

Glossary of shapes: T characters, L layers, N units of all layers.
"""

import dataclasses
import math

import numpy as np

_SYMBOLS = {"\n": "↵", "\t": "⇥"}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    r"""A text, and what the network did with each of its characters.

    Attributes:
        characters: The T characters; a byte from 0x80 on is \xNN.
        activations: float32 [T, N], h of every layer after each character.
        top_characters: For each character the five likeliest next ones, the
            likeliest first; "" where the vocabulary has fewer.
        top_log_probs: float32 [T, 5], their log probabilities, nats.
        bits: float32 [T], each character's own surprise: -log2 of the
            probability that it had; NaN if it is unknown to the model.
        num_layers: L; 1 where it is not known how N is made up.
    """

    characters: tuple[str, ...]
    activations: np.ndarray = dataclasses.field(repr=False)
    top_characters: tuple[tuple[str, ...], ...] = dataclasses.field(repr=False)
    top_log_probs: np.ndarray = dataclasses.field(repr=False)
    bits: np.ndarray = dataclasses.field(repr=False)
    num_layers: int

    @property
    def text(self) -> str:
        """The text, one character for each that was read."""
        return "".join(c if len(c) == 1 else "\ufffd" for c in self.characters)

    @property
    def num_units(self) -> int:
        """N."""
        return self.activations.shape[1]

    @property
    def units_per_layer(self) -> int:
        """N / L."""
        return self.num_units // self.num_layers

    @property
    def mean_bits(self) -> float:
        """Mean surprise of the characters that are known; 0 if none is."""
        known = self.bits[~np.isnan(self.bits)]
        return float(known.mean(dtype=np.float64)) if known.size else 0.0

    @property
    def unknown(self) -> int:
        """Characters that are unknown to the model."""
        return int(np.isnan(self.bits).sum())

    def name(self, unit: int) -> str:
        """Returns what a unit is called; layers and units count from 1."""
        layer, within = divmod(unit, self.units_per_layer)
        if self.num_layers == 1:
            return f"unit {within + 1}"
        return f"layer {layer + 1}, unit {within + 1}"

    def short_name(self, unit: int) -> str:
        """Returns LAYER:UNIT, as `kerasrnn-inspect --unit` takes it."""
        layer, within = divmod(unit, self.units_per_layer)
        return f"{layer + 1}:{within + 1}"

    def relative_activations(self, unit: int) -> np.ndarray:
        """Returns a unit's activations by the largest of them, float32 [T]."""
        column = self.activations[:, unit]
        return column / max(float(np.abs(column).max(initial=0)), 1e-9)


def surprise(log_probs: np.ndarray, unknown: int) -> np.ndarray:
    """Returns the surprise in bits, float32 [T]; NaN of unknown characters.

    Args:
        log_probs: float32 [T], nats, as a served model's `score` gives them:
            0 for unknown characters.
        unknown: How many of the characters are unknown.
    """
    bits = -np.asarray(log_probs, np.float32) / np.float32(math.log(2))
    if unknown:
        bits = np.where(bits == 0, np.float32(np.nan), bits)
    return bits + 0.0  # no -0


def visible(character: str) -> str:
    """Returns a character as a symbol that does nothing but be seen."""
    if character in _SYMBOLS:
        return _SYMBOLS[character]
    if len(character) != 1 or character == " " or character.isprintable():
        return character
    code = ord(character)
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else "\ufffd"
