"""What a run's losses say about its settings, in a sentence or two."""

from collections.abc import Mapping
from collections.abc import Sequence

from kerasrnn.reporting.training_charts import Validations

# Steps whose mean training loss stands beside a validation.
_STEPS = 200
# Shares of the loss. Dropout raises the training loss by a few hundredths, and
# two seeds differ by less than one.
_RISE = 0.005
_WIDE = 0.08
_NARROW = 0.03
_STILL_FALLING = 0.005
# The part of a run whose fall says whether more steps would lower the loss.
_LAST_PART = 0.2
_MOST_DROPOUT = 0.5
_MORE_DROPOUT = 0.2


def gap(
    validations: Validations, steps: Sequence[int], losses: Sequence[float]
) -> float | None:
    """Returns how far the best validation lies above the training loss.

    Args:
        validations: Those of the run.
        steps: Each step, rising.
        losses: Its training loss, nats per character, with dropout.

    Returns:
        Nats per character, negative if validation is lower; None if there is
        no validation, or no step up to the best one.
    """
    if validations.best is None:
        return None
    best = validations.steps[validations.best]
    before = [
        loss
        for step, loss in zip(steps, losses, strict=True)
        if best - _STEPS < step <= best
    ]
    if not before:
        return None
    return validations.losses[validations.best] - sum(before) / len(before)


def advice(
    validations: Validations,
    gap: float | None,
    settings: Mapping[str, Mapping[str, object]],
) -> str:
    """Returns what to try next, or "" if the run does not tell.

    Args:
        validations: Those of the run.
        gap: What `gap` returned.
        settings: Values of its configuration, by section and name.
    """
    if validations.best is None or gap is None or len(validations.losses) < 3:
        return ""
    best = validations.losses[validations.best]
    if validations.losses[-1] > best * (1 + _RISE):
        return (
            "The validation loss has risen since step "
            f"{validations.steps[validations.best]:,}, where the best model "
            "was kept: the network has begun to memorize the training text. "
            f"{_against_memorizing(settings)}"
        )
    if _fall_of_last_part(validations) > _STILL_FALLING * best:
        return (
            "The validation loss was still falling when the run ended: more "
            "steps (--epochs, --minutes) should lower it."
        )
    if gap > _WIDE * best:
        return (
            f"Validation is {gap:.2f} nats above the training loss: the "
            "network memorizes more than carries over to new text. "
            f"{_against_memorizing(settings)}"
        )
    if gap < _NARROW * best:
        return (
            "Training and validation loss are close and have stopped falling: "
            "a larger network (--units, --num_layers) should lower both."
        )
    return ""


def _against_memorizing(settings):
    flags = " ".join(_more_dropout(settings.get("model", {})))
    more = f"more dropout ({flags}), " if flags else ""
    return f"Try more text, {more}or a smaller network (--units)."


def _more_dropout(model):
    """Returns flags for a new run, in which one that is given is not alone."""
    rates = [
        (name, model[name])
        for name in ("dropout", "recurrent_kernel_dropout")
        if isinstance(model.get(name), int | float)
    ]
    used = [(name, rate) for name, rate in rates if rate] or rates[:1]
    if all(rate >= _MOST_DROPOUT for _, rate in used):
        return []
    more = _MORE_DROPOUT / len(used)
    found = [
        f"--{name}={max(rate, min(rate + more, _MOST_DROPOUT)):g}"
        for name, rate in used
    ]
    steps = model.get("dropout_warmup_steps")
    if steps and isinstance(steps, int):
        found.append(f"--dropout_warmup_steps={steps}")
    return found


def _fall_of_last_part(validations):
    """Returns by how much the loss fell over the last part of the run."""
    last = validations.steps[-1]
    earlier = [
        loss
        for step, loss in zip(
            validations.steps, validations.losses, strict=True
        )
        if step <= last * (1 - _LAST_PART)
    ]
    return min(earlier) - validations.losses[-1] if earlier else 0.0
