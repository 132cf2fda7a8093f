"""Training that diverges: at which step it shows, and what follows then.

A step has failed if its loss or gradient is not a finite number, or if its
loss explodes: if it is above three times that of guessing, as in char-rnn.
The loss of a step tells of the weights before it, so a checkpoint is good
once a step that starts from it has not failed.
"""

import math
from collections.abc import Iterable

import numpy as np

from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.training.step.trainer import StepRecords

# With `--on_nan=rollback`.
RATE_FACTOR = 0.5
MOST_ROLLBACKS = 5

_EXPLOSION = 3.0
# Where there are few kinds of characters, a handful of unlikely ones in a
# small batch would be enough.
_LOWEST_LIMIT = 10.0


class Diverged(UserError):
    """A step has failed.

    Attributes:
        step: Its number, from 1 on.
        reason: A clause that says how it shows.
    """

    def __init__(self, step: int, reason: str):
        super().__init__(f"Training has diverged: at step {step} {reason}.")
        self.step = step
        self.reason = reason


def loss_limit(vocabulary_size: int) -> float:
    """Returns the loss above which it explodes, nats a character."""
    return max(_EXPLOSION * math.log(vocabulary_size), _LOWEST_LIMIT)


def check_steps(
    records: StepRecords, first_step: int, vocabulary_size: int
) -> None:
    """Checks steps that were made.

    Args:
        records: What they report.
        first_step: Number of the first of them, from 1 on.
        vocabulary_size: Kinds of characters to guess from.

    Raises:
        Diverged: One has failed.
    """
    limit = loss_limit(vocabulary_size)
    losses = records.nats / np.maximum(records.characters, 1)
    good = np.isfinite(losses) & np.isfinite(records.gradient_norm)
    good &= losses <= limit
    if good.all():
        return
    index = int(np.argmin(good))
    loss, norm = losses[index], records.gradient_norm[index]
    if not np.isfinite(loss):
        reason = f"the loss is {loss}"
    elif not np.isfinite(norm):
        reason = f"the gradient's norm is {norm}"
    else:
        reason = (
            f"the loss is {loss:.1f} nats a character, above {limit:.1f}, "
            "three times that of guessing"
        )
    raise Diverged(first_step + index, reason)


def check_arrays(arrays: Iterable, step: int) -> None:
    """Checks arrays or numbers that tell how the weights are after a step.

    Raises:
        Diverged: A number is not finite, so that the next step must fail.
    """
    if not all(np.isfinite(array).all() for array in arrays):
        raise Diverged(step + 1, "the weights are not finite numbers")


def good_steps(steps: list[int], failed: int) -> list[int]:
    """Returns those checkpoints of a list that the failed step spares."""
    return [step for step in steps if step < failed - 1]


def check_rollback(
    diverged: Diverged, on_nan: str, rollbacks: int, target: int
) -> None:
    """Checks that a training may go back.

    Args:
        diverged: Why it has to.
        on_nan: "stop" or "rollback".
        rollbacks: Times that it went back already.
        target: Step of the last good checkpoint; 0 is the start.

    Raises:
        UserError: It may not; the message says what to do.
    """
    if on_nan == "rollback" and rollbacks < MOST_ROLLBACKS:
        return
    after = f" after {counted(rollbacks, 'rollback')}" if rollbacks else ""
    where = (
        f"The last good checkpoint is that of step {target:,}: to go on from it"
        if target
        else "No earlier checkpoint is good: to start again"
    )
    way_out = "a lower --learning_rate or --clip_norm"
    if on_nan != "rollback":
        way_out += ", or with --on_nan=rollback"
    raise UserError(
        f"{str(diverged).rstrip('.')}{after}. {where}, run the same command "
        f"with {way_out}."
    )
