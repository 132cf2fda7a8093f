"""What follows when a run diverges: how far it goes back, and how often.

With `--on_nan=rollback` it resumes from the last good checkpoint with half the
learning rate. If it fails again before it has saved anything newer, it goes
back one checkpoint further.
"""

from typing import NamedTuple

from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.training.step.divergence import Diverged

MOST_ROLLBACKS = 5
_RATE_FACTOR = 0.5


def rate_factor(rollbacks: int) -> float:
    """Returns what the learning rate is multiplied by after rollbacks."""
    return _RATE_FACTOR**rollbacks


def check_allowed(
    diverged: Diverged, on_nan: str, rollbacks: int, target: int
) -> None:
    """Checks that a run may go back.

    Args:
        diverged: Why it has to.
        on_nan: "stop" or "rollback".
        rollbacks: How often it went back already.
        target: Step of the last good checkpoint; 0 is the start.

    Raises:
        UserError: It may not; the message says what to do.
    """
    if on_nan == "rollback" and rollbacks < MOST_ROLLBACKS:
        return
    after = f" after {counted(rollbacks, 'rollback')}" if rollbacks else ""
    where = (
        f"The last good checkpoint is that of step {target:,}: to resume from "
        "it"
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


def announcement(diverged: Diverged, target: int, rollbacks: int) -> str:
    """Returns what to show when a run goes back.

    Args:
        diverged: Why.
        target: The step that it goes back to.
        rollbacks: How often it went back, this time included.
    """
    return (
        f"{diverged} Going back to step {target:,} with the learning rate "
        f"times {rate_factor(rollbacks):g}."
    )


class ResumedRate(NamedTuple):
    """How the learning rate continues in a run that resumes.

    Attributes:
        rollbacks: How many rollbacks still lower it.
        note: What to show about it, or "".
    """

    rollbacks: int
    note: str


def resumed_rate(rollbacks: int, rate: float, before: float) -> ResumedRate:
    """Returns which rollbacks count: none if a new learning rate is given.

    Args:
        rollbacks: Rollbacks of the run before.
        rate: The learning rate as configured now.
        before: The learning rate as configured in the run before.
    """
    if not rollbacks:
        return ResumedRate(0, "")
    factor = rate_factor(rollbacks)
    if rate != before:
        return ResumedRate(
            0,
            f"The learning rate is {rate:g} as given, no longer "
            f"{before:g} times {factor:g} (rollbacks: {rollbacks}).",
        )
    return ResumedRate(
        rollbacks,
        f"The learning rate is {rate:g} times {factor:g} (rollbacks: "
        f"{rollbacks}); another --learning_rate counts as given.",
    )
