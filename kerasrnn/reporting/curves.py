"""A run's records as curves, with no more points than can be seen.

Shapes: K steps, N points of a curve.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any
from typing import TypeGuard

import numpy as np


@dataclasses.dataclass(frozen=True)
class Curve:
    """Values over steps, thinned out.

    Attributes:
        steps: Last step that each point stands for, [N], rising.
        values: Mean of the values of those steps, [N].
        low: Least of them, [N].
        high: Greatest of them, [N].
    """

    steps: list[int]
    values: list[float]
    low: list[float]
    high: list[float]

    def __len__(self) -> int:
        """Number of points, N."""
        return len(self.steps)


def thinned(
    steps: Sequence[int],
    values: Sequence[float],
    count: int,
    log_x: bool = False,
) -> Curve:
    """Returns the curve of `count` points at most.

    Neighbours are averaged: the same number of steps at each point or, for a
    logarithmic axis, the same ratio, so that the first steps stay apart.

    Args:
        steps: Rising, from 1 on, [K].
        values: One a step, [K].
        count: Points wanted.
        log_x: Whether the axis is logarithmic.
    """
    steps = np.asarray(steps, np.int64)
    values = np.asarray(values, np.float64)
    if not len(steps):
        return Curve([], [], [], [])
    places = np.log(np.maximum(steps, 1)) if log_x else steps.astype(float)
    width = (places[-1] - places[0]) / count or 1.0
    if len(steps) <= count:
        starts = np.arange(len(steps))
    else:
        bucket = np.minimum((places - places[0]) / width, count - 1)
        starts = np.flatnonzero(np.diff(np.floor(bucket), prepend=-1))
    sizes = np.diff(starts, append=len(steps))
    return Curve(
        steps[starts + sizes - 1].tolist(),
        (np.add.reduceat(values, starts) / sizes).tolist(),
        np.minimum.reduceat(values, starts).tolist(),
        np.maximum.reduceat(values, starts).tolist(),
    )


def column(records: Sequence[dict], name: str) -> tuple[list, list]:
    """Returns the steps and values of the records that have a value."""
    pairs = [
        (record["step"], record[name])
        for record in records
        if _is_number(record.get(name))
    ]
    return [step for step, _ in pairs], [value for _, value in pairs]


def step_losses(records: Sequence[dict]) -> tuple[list[int], list[float]]:
    """Returns the steps and losses of all steps in the records.

    A record that does not have each step's loss gives its mean.
    """
    pairs: list[tuple[int, Any]] = []
    for record in records:
        inner = record.get("losses") or [record.get("loss")]
        first = record["step"] - len(inner) + 1
        pairs += enumerate(inner, first)
    pairs = [(step, loss) for step, loss in pairs if _is_number(loss)]
    return [step for step, _ in pairs], [loss for _, loss in pairs]


def spread(steps: Sequence[int], count: int) -> list[int]:
    """Returns `count` of some rising steps at most, equal ratios apart.

    The first and the last are among them: most happens at the beginning.
    """
    if len(steps) <= count:
        return list(steps)
    places = np.log(np.maximum(steps, 1))
    wanted = np.linspace(places[0], places[-1], count)
    chosen = {int(np.abs(places - place).argmin()) for place in wanted}
    return [steps[index] for index in sorted(chosen | {0, len(steps) - 1})]


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and math.isfinite(value)
