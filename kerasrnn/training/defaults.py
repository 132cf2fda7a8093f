"""Rules that choose settings of a new run for which no flag is given.

Each choice is a pure function of the text's length, the network and what is
given; docs/results.md has the runs that the rules follow from.
"""

import dataclasses
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from kerasrnn.config import CELL_SIZES
from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.foundation.phrases import counted
from kerasrnn.training.hardware import Hardware
from kerasrnn.training.run_length import characters_per_step
from kerasrnn.training.run_length import characters_read
from kerasrnn.training.step.schedule import Limits

# Up to so many units the learning rate is the cell's own.
_UNITS = 128
# A model that is trained already is changed by smaller steps.
_SHARE_OF_A_TRAINED_MODEL = 0.5
# Characters that a run reads in all where that is less than 50 epochs.
_CHARACTERS = 60_000_000
# A run ends once the best validation is this share of its epochs ago, and so
# many validations at least: until the rate has fallen, one may be bad by luck.
_PATIENCE = 0.2
_LEAST_PATIENCE = 5
# Both dropouts of a network that has as many weights as the text has
# characters. Without that of the recurrent kernels, that of the outputs has to
# do it alone.
_DROPOUT = 0.14
_DROPOUT_ALONE = 0.25
_MOST_DROPOUT = 0.5
# Times that the text is read until they are so large: before, there is less to
# forget.
_DROPOUT_WARMUP_EPOCHS = 12
# Less does not pay for the time that it takes in each step.
_LEAST_DROPOUT = 0.02
# Weight decay of such a network for each time that the text is read.
_WEIGHT_DECAY = 0.01
_LEAST_WEIGHT_DECAY = 0.01
_MOST_WEIGHT_DECAY = 0.1
# A run of less time or text makes so many steps, by smaller batches if it must.
_STEPS = 3_000
_SMALL_BATCH_SIZES = (32, 16)
# With fewer streams than that, a core is faster with more of them.
_STREAMS_PER_CORE = 16
# What the rules read that may change when a run resumes.
_OTHER_NUMBERS = ("epochs", "dropout", "recurrent_kernel_dropout")
_NO_LIMITS = Limits()
_ONE_ACCELERATOR = Hardware()


class Choice(NamedTuple):
    """A setting that was chosen.

    Attributes:
        name: Of the field of `ModelConfig` or `TrainingConfig`.
        value: Its value.
        reason: What it follows from.
    """

    name: str
    value: Any
    reason: str

    def __str__(self) -> str:
        value = self.value
        # A whole number has all of its digits.
        words = f"{value:g}" if isinstance(value, float) else str(value)
        return f"--{self.name}={words} ({self.reason})"


def choices(
    model: ModelConfig,
    given: Mapping[str, Any],
    characters: int,
    validates: bool = True,
    limits: Limits = _NO_LIMITS,
    hardware: Hardware = _ONE_ACCELERATOR,
) -> list[Choice]:
    """Returns what is chosen for fields of the configuration not given.

    Args:
        model: The network.
        given: The fields of `ModelConfig` and `TrainingConfig` that are given.
        characters: Length of the training text.
        validates: Whether there is text to validate on.
        limits: When the run stops before its epochs are over.
        hardware: What trains.
    """
    found = []
    optimizer = given.get("optimizer", TrainingConfig().optimizer)
    is_adam = optimizer in ("adam", "adamw")
    epochs = given.get("epochs")
    if epochs is None:
        found.append(_epochs(characters))
        epochs = found[-1].value
    # With a period of the user's own, nobody knows what one validation is.
    if validates and not {"patience", "evaluate_every"} & set(given):
        found.append(_patience(epochs))
    chooses_batch = not {"batch_size", "accumulation_steps"} & set(given)
    if chooses_batch and not hardware.cores:
        found += _shared_batch_size(hardware.replicas)
        given = _with_batch_size(given, found)
    read = characters_read(model, given, epochs * characters, limits, hardware)
    if chooses_batch and hardware.cores and not limits.max_steps:
        found.append(_batch_size(given, read, hardware.cores))
        given = _with_batch_size(given, found)
    if "learning_rate" not in given and is_adam:
        steps = read / characters_per_step(given)
        rate = _learning_rate(model, bool(given.get("init_from")), steps)
        found.insert(0, rate)
    if "dropout" not in given:
        found += _dropouts(model, given, characters, read)
    elif given.get("init_from") and "dropout_warmup_steps" not in given:
        # The rates are the other model's, which has not read this text.
        drops = model.dropout or model.recurrent_kernel_dropout
        found.append(_dropout_warmup(given, characters if drops else 0))
    if "weight_decay" not in given and optimizer == "adamw":
        found.append(_weight_decay(model, characters, read))
    return found


def choices_of_resumed_run(
    was: TrainingConfig, chosen: Collection[str], given: Mapping[str, Any]
) -> list[Choice]:
    """Returns what is chosen again when a run resumes.

    Args:
        was: How the run was trained until now.
        chosen: The fields that a rule chose for it.
        given: The fields of `TrainingConfig` that are given anew.

    Returns:
        The patience for another number of epochs or another period of
        validation, if a rule chose it.
    """
    if "patience" not in chosen or "patience" in given:
        return []
    if not {"epochs", "evaluate_every"} & set(given):
        return []
    patience = _patience(given.get("epochs", was.epochs))
    if given.get("evaluate_every", was.evaluate_every):
        patience = Choice("patience", 0, "validations at your own intervals")
    return [patience] if patience.value != was.patience else []


def choices_of_longer_run(
    was: Config,
    chosen: Collection[str],
    before: Limits,
    given: Mapping[str, Any],
    characters: int,
    limits: Limits,
    hardware: Hardware = _ONE_ACCELERATOR,
) -> list[Choice]:
    """Returns what is chosen again because a run is to read more, or less.

    Args:
        was: How the run was trained until now.
        chosen: The fields that a rule chose for it.
        before: When it was to stop until now.
        given: The fields of `ModelConfig` and `TrainingConfig` given anew.
        characters: Length of the training text.
        limits: When it stops now.
        hardware: What trains now.

    Returns:
        The learning rate, the dropouts and the weight decay, if a rule chose
        them and it now chooses others.
    """
    training = dataclasses.asdict(was.training)
    has = {**dataclasses.asdict(was.model), **training}
    # A rule that has changed since then is no reason.
    others = (name for name in _OTHER_NUMBERS if name in given)
    if limits == before and all(given[name] == has[name] for name in others):
        return []
    # All but these stay, whether they were given or chosen. (Dropout is a
    # field of the model.)
    del training["learning_rate"], training["weight_decay"]
    if "recurrent_kernel_dropout" not in chosen:
        rate = was.model.recurrent_kernel_dropout
        training["recurrent_kernel_dropout"] = rate
    if was.training.init_from and "dropout" not in chosen:
        # It came with the model to start from.
        training["dropout"] = was.model.dropout
    training |= given
    now = choices(was.model, training, characters, True, limits, hardware)
    return [
        choice
        for choice in now
        if choice.name in chosen
        and choice.name not in given
        and choice.value != has[choice.name]
    ]


def _learning_rate(
    model: ModelConfig, is_trained: bool, steps: float
) -> Choice:
    """Falls with the root of the width: in a wide sum the steps add up.

    It rises where there are few steps, as there is less time for fine ones.
    """
    cell = CELL_SIZES[model.cell]
    rate = cell.learning_rate * min(1.0, _UNITS / model.units) ** 0.5
    reason = f"{model.units} units of {model.cell}"
    if steps < _STEPS and cell.few_steps > 1:
        rate *= min((_STEPS / max(steps, 1)) ** 0.25, cell.few_steps)
        reason += f", {_about(steps)}"
    if is_trained:
        rate *= _SHARE_OF_A_TRAINED_MODEL
        reason += ", trained already"
    return Choice("learning_rate", float(f"{rate:.2g}"), reason)


def _dropouts(
    model: ModelConfig, given: Mapping[str, Any], characters: int, read: float
) -> list[Choice]:
    """Rise with the weights per character, of which memorizing is made."""
    weights, times = model.num_weights, read / max(characters, 1)
    warmed_up = min(1.0, times / _DROPOUT_WARMUP_EPOCHS)

    def rate(share):
        rate = min(share * (weights / max(characters, 1)) ** 0.5, _MOST_DROPOUT)
        return round(rate, 2) if rate * warmed_up >= _LEAST_DROPOUT else 0.0

    alone = given.get("recurrent_kernel_dropout") == 0
    reason = (
        f"{weights:,} weights, {characters:,} characters to train on, "
        f"{times:.2g} epochs"
    )
    found = [
        Choice("dropout", rate(_DROPOUT_ALONE if alone else _DROPOUT), reason)
    ]
    if "recurrent_kernel_dropout" not in given:
        name, reason = "recurrent_kernel_dropout", "the same"
        found.append(Choice(name, rate(_DROPOUT), reason))
    if "dropout_warmup_steps" not in given:
        drops = any(choice.value for choice in found)
        found.append(_dropout_warmup(given, characters if drops else 0))
    return found


def _dropout_warmup(given: Mapping[str, Any], characters: int) -> Choice:
    steps = _DROPOUT_WARMUP_EPOCHS * characters / characters_per_step(given)
    reason = f"{_DROPOUT_WARMUP_EPOCHS} epochs" if steps else "no dropout"
    return Choice("dropout_warmup_steps", round(steps), reason)


def _batch_size(given: Mapping[str, Any], read: float, cores: int) -> Choice:
    """Falls where a run would end after too few steps to learn."""
    training = TrainingConfig()
    step = given.get("sequence_length", training.sequence_length)
    least = _STREAMS_PER_CORE * cores
    small = (size for size in _SMALL_BATCH_SIZES if size >= least)
    sizes = [training.batch_size, *small]
    enough = (size for size in sizes if read >= _STEPS * size * step)
    batch_size = next(enough, sizes[-1])
    steps = read / (batch_size * step)
    reason = f"{_about(steps)}, about"
    return Choice("batch_size", batch_size, reason)


def _shared_batch_size(replicas: int) -> list[Choice]:
    """Is a multiple of the replicas, which read as many streams each."""
    least = TrainingConfig().batch_size
    if not least % replicas:
        return []
    size = -(-least // replicas) * replicas
    return [Choice("batch_size", size, f"shared by {replicas} replicas")]


def _weight_decay(model: ModelConfig, characters: int, read: float) -> Choice:
    """Rises with the weights per character, and with the times it is read."""
    times = read / max(characters, 1)
    decay = _WEIGHT_DECAY * times * model.num_weights / max(characters, 1)
    decay = min(max(decay, _LEAST_WEIGHT_DECAY), _MOST_WEIGHT_DECAY)
    reason = f"{model.num_weights:,} weights, {times:.2g} epochs"
    return Choice("weight_decay", float(f"{decay:.2g}"), reason)


def _about(steps):
    return counted(round(float(f"{max(steps, 1):.2g}")), "step")


def _with_batch_size(given, found):
    sizes = {c.name: c.value for c in found if c.name == "batch_size"}
    return {**given, **sizes}


def _epochs(characters: int) -> Choice:
    """The default for a short text; a long one is read less often."""
    most = TrainingConfig().epochs
    epochs = max(1, min(most, round(_CHARACTERS / max(characters, 1))))
    return Choice("epochs", epochs, f"{characters:,} characters to train on")


def _patience(epochs: int) -> Choice:
    """Ends the run where the network has begun to memorize the text."""
    patience = max(_LEAST_PATIENCE, round(_PATIENCE * epochs))
    return Choice("patience", patience, f"validations; {epochs} epochs")
