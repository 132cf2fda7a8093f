"""What the local server does at most."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Batching:
    """How calls that wait are merged, in TensorFlow Serving's names.

    Attributes:
        max_batch_size: Rows that go together at most; 1 merges nothing.
        batch_timeout_micros: Microseconds that a batch waits for more rows.
    """

    max_batch_size: int = 32
    batch_timeout_micros: int = 0


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one server does at most.

    Attributes:
        rows: Of one call, the first dimension of its inputs.
        message_bytes: Of one request, and of one reply.
        calls: Of Predict, running and waiting; more are refused.
        seconds: Of one call, waiting included, also where its client sets
            no deadline.
        batching: How calls that wait are merged.
    """

    rows: int = 1024
    message_bytes: int = 64 * 2**20
    calls: int = 128
    seconds: float = 60.0
    batching: Batching = Batching()
