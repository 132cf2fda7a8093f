"""How much a run reads, and in how many steps, as far as known before it."""

from collections.abc import Mapping
from typing import Any

from kerasrnn.config import CELL_SIZES
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.training.hardware import Hardware
from kerasrnn.training.step.schedule import Limits

# Floating-point operations a second of two cores, and of an accelerator, which
# waits most of the time with so few streams. Some make thrice as many or a
# third; nothing else is known before the first step.
_OPERATIONS = 6e10
_OPERATIONS_OF_ACCELERATOR = 1e12


def characters_per_step(given: Mapping[str, Any]) -> int:
    """Returns how many characters a step reads.

    Args:
        given: Fields of `TrainingConfig`; the others are the defaults.
    """
    training = TrainingConfig()
    return given.get("batch_size", training.batch_size) * given.get(
        "sequence_length", training.sequence_length
    )


def characters_read(
    model: ModelConfig,
    given: Mapping[str, Any],
    characters: int,
    limits: Limits,
    hardware: Hardware,
) -> float:
    """Returns how many characters a run reads at most, about.

    Args:
        model: The network.
        given: Fields of `TrainingConfig`; the others are the defaults.
        characters: What its epochs read.
        limits: When it stops before they are over.
        hardware: What trains.
    """
    if limits.max_steps:
        steps = limits.max_steps
        characters = min(characters, steps * characters_per_step(given))
    if limits.minutes:
        # Forwards a multiplication and an addition for each weight; a gradient
        # is twice that. Of a one-hot input one row is read.
        rows = 0 if model.embedding_size else model.vocabulary_size - 1
        gates = CELL_SIZES[model.cell].gates * model.units
        operations = 6 * (model.num_weights - rows * gates)
        speed = _OPERATIONS if hardware.cores else _OPERATIONS_OF_ACCELERATOR
        characters = min(characters, 60 * limits.minutes * speed / operations)
    return characters
