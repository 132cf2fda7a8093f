"""The processes that train together: by default this one alone.

Every worker runs the same loop on its own share of the streams. What the loop
decides by a clock, a signal, a file or a computation that only the chief does
is decided by the chief, and reaches the others between two calls of steps.
With one worker there is nothing to agree on, and nothing of
`kerasrnn.training.multi_worker` is imported.
"""

from collections.abc import Sequence

import tensorflow as tf


class Workers:
    """One process that trains alone, which is its own chief.

    Args:
        strategy: Where the replicas are.

    Attributes:
        strategy: Where the replicas are.
        is_chief: Whether this process writes.
        size: Number of processes.
    """

    is_chief: bool = True
    size: int = 1

    def __init__(self, strategy: tf.distribute.Strategy):
        self.strategy = strategy

    def broadcast(self, values: Sequence[float]) -> list[float]:
        """Returns the chief's values; all workers call it together."""
        return list(values)

    def any(self, value: int) -> int:
        """Returns a worker's value that is not 0, if one has such a value.

        All workers call it together.
        """
        return value

    def check(self) -> None:
        """Checks that no worker is known to be lost.

        Raises:
            UserError: One is.
        """

    def finish(self) -> None:
        """Waits until all workers have called it; then they may leave."""
