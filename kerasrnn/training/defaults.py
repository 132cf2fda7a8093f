"""Rules that choose settings of a new run for which no flag is given.

Each choice is a pure function of the text's length, the network and what is
given; docs/results.md has the runs that the rules follow from.
"""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from kerasrnn.config import CELL_SIZES
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig

# Up to so many units the learning rate is the cell's own.
_UNITS = 128
# A model that is trained already is changed by smaller steps.
_SHARE_OF_A_TRAINED_MODEL = 0.5
# Characters that a run reads in all where that is less than 50 epochs.
_CHARACTERS = 60_000_000


class Choice(NamedTuple):
    """A setting that was chosen.

    Attributes:
        name: Of the field of `TrainingConfig`.
        value: Its value.
        reason: What it follows from.
    """

    name: str
    value: Any
    reason: str

    def __str__(self) -> str:
        return f"--{self.name}={self.value:g} ({self.reason})"


def choices(
    model: ModelConfig, given: Mapping[str, Any], characters: int
) -> list[Choice]:
    """Returns what is chosen for fields of `TrainingConfig` not given.

    Args:
        model: The network.
        given: The fields that are given.
        characters: Length of the training text.
    """
    found = []
    is_adam = given.get("optimizer", "adamw") in ("adam", "adamw")
    if "learning_rate" not in given and is_adam:
        found.append(_learning_rate(model, bool(given.get("init_from"))))
    if "epochs" not in given:
        found.append(_epochs(characters))
    return found


def _learning_rate(model: ModelConfig, is_trained: bool) -> Choice:
    """Falls with the root of the width: in a wide sum the steps add up."""
    rate = CELL_SIZES[model.cell].learning_rate
    rate *= min(1.0, _UNITS / model.units) ** 0.5
    reason = f"{model.units} units of {model.cell}"
    if is_trained:
        rate *= _SHARE_OF_A_TRAINED_MODEL
        reason += ", trained already"
    return Choice("learning_rate", float(f"{rate:.2g}"), reason)


def _epochs(characters: int) -> Choice:
    """The default for a short text; a long one is read less often."""
    most = TrainingConfig().epochs
    epochs = max(1, min(most, round(_CHARACTERS / max(characters, 1))))
    return Choice("epochs", epochs, f"{characters:,} characters to train on")
