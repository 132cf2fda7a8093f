"""Nats, bits and perplexity (no TensorFlow)."""

import dataclasses
import math


def bits(nats: float) -> float:
    """Returns nats in bits."""
    return nats / math.log(2)


def perplexity(nats_per_character: float) -> float:
    """Returns e to the loss: a uniform choice of so many has the same loss."""
    try:
        return math.exp(nats_per_character)
    except OverflowError:
        return math.inf


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The loss of a text.

    Attributes:
        nats: Sum of -log p(character) over the scored characters.
        characters: Number of scored characters.
        sampled_from: Characters of the whole text, where only a sample of it
            was read; else 0.
    """

    nats: float
    characters: int
    sampled_from: int = 0

    @property
    def loss(self) -> float:
        """Nats per character."""
        return self.nats / self.characters

    @property
    def bits(self) -> float:
        """Bits per character."""
        return bits(self.loss)

    @property
    def perplexity(self) -> float:
        """E to the loss."""
        return perplexity(self.loss)
