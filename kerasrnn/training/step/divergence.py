"""Runs that diverge: which step has failed.

A step has failed if its loss or gradient is not a finite number, or if its
loss explodes: if it is above three times that of guessing, as in char-rnn.
"""

import math
from collections.abc import Iterable

import numpy as np

from kerasrnn.errors import UserError
from kerasrnn.training.step.trainer import StepRecords

_EXPLOSION = 3.0
# If there are few kinds of characters, a handful of unlikely ones in a small
# batch would be enough.
_LOWEST_LIMIT = 10.0


class Diverged(UserError):
    """A step has failed.

    Attributes:
        step: Its number, from 1.
        reason: A clause that says why it counts as failed.
    """

    def __init__(self, step: int, reason: str):
        super().__init__(f"Training has diverged: at step {step} {reason}.")
        self.step = step
        self.reason = reason


def loss_limit(vocabulary_size: int) -> float:
    """Returns the loss above which it explodes, in nats per character."""
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
            f"the loss is {loss:.1f} nats per character, above {limit:.1f}, "
            "three times that of guessing"
        )
    raise Diverged(first_step + index, reason)


def check_arrays(arrays: Iterable, step: int) -> None:
    """Checks arrays or numbers that depend on the weights after a step.

    Raises:
        Diverged: A number is not finite, so that the next step must fail.
    """
    if not all(np.isfinite(array).all() for array in arrays):
        raise Diverged(step + 1, "the weights are not finite numbers")
