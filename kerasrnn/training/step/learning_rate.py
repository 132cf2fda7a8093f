"""Learning-rate schedules: pure functions of the step (no TensorFlow)."""

import math

from kerasrnn.config import TrainingConfig


def learning_rate(
    config: TrainingConfig, step: int, steps_per_epoch: int, total_steps: int
) -> float:
    """Returns the learning rate of a step.

    Args:
        config: Names the schedule and its numbers.
        step: Number of the step, from 0.
        steps_per_epoch: Steps in one pass over the training text.
        total_steps: Steps in the whole training, where "cosine" reaches 0.
    """
    rate = config.learning_rate
    # A short training is not spent on warming up.
    warmup = min(config.warmup_steps, total_steps // 2)
    if step < warmup:
        rate *= (step + 1) / warmup
    if config.schedule == "exponential":
        # char-rnn multiplies after each epoch from number `decay_after` on,
        # so that with 10, 50 epochs end with 41 factors.
        epochs = step // steps_per_epoch
        return rate * config.decay_rate ** max(
            0, epochs - config.decay_after + 1
        )
    if config.schedule == "step":
        # torch-rnn counts epochs from 1 and multiplies as it comes to those
        # that `decay_after` divides, one step before they begin.
        epoch = (step + 1) // steps_per_epoch + 1
        return rate * config.decay_rate ** (epoch // max(config.decay_after, 1))
    if config.schedule == "cosine":
        decaying = max(total_steps - warmup, 1)
        share = min(max(step - warmup, 0) / decaying, 1.0)
        # SGDR without restarts: Loshchilov and Hutter, 2017, equation 5.
        return rate * 0.5 * (1 + math.cos(math.pi * share))
    return rate
