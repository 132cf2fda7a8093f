"""What the local server does at most."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one server does at most.

    Attributes:
        rows: Of one call, the first dimension of its inputs.
        message_bytes: Of one request, and of one reply.
        calls: Of Predict, running and waiting; more are refused.
        seconds: Of one call, waiting included, also where its client sets
            no deadline.
    """

    rows: int = 1024
    message_bytes: int = 64 * 2**20
    calls: int = 128
    seconds: float = 60.0
