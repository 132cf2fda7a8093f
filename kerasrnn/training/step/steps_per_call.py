"""How many steps one call runs: about as many as take a second."""

# Signals, checkpoints and the display wait for the end of a call.
_TARGET_SECONDS = 1.0
_MOST_STEPS = 500


class StepsPerCall:
    """Measures calls, and finds the number of steps for the next one.

    Attributes:
        count: Steps to run in the next call.
        seconds_per_step: Smoothed time of a step; None before the second
            call, as the first one's time is mostly tracing and compiling.
        first_seconds: Time of the first call.
    """

    def __init__(self):
        self.count = 1
        self.seconds_per_step: float | None = None
        self.first_seconds = 0.0
        self._calls = 0

    def update(self, count: int, seconds: float) -> None:
        """Records that a call of `count` steps took so many seconds."""
        self._calls += 1
        if self._calls == 1:
            self.first_seconds = seconds
            return
        measured = max(seconds, 1e-6) / count
        if self.seconds_per_step is None:
            self.seconds_per_step = measured
        # Slower counts at once, faster gradually: no call may last long.
        elif measured > self.seconds_per_step:
            self.seconds_per_step = measured
        else:
            self.seconds_per_step += 0.3 * (measured - self.seconds_per_step)
        affordable = int(_TARGET_SECONDS / self.seconds_per_step)
        self.count = max(1, min(affordable, 4 * self.count, _MOST_STEPS))

    @property
    def has_started(self) -> bool:
        """Whether there has been a call."""
        return self._calls > 0
