"""The most that the gateway lets a stranger have."""

import dataclasses
from typing import Annotated

from kerasrnn.foundation.constraints import POSITIVE_COUNT
from kerasrnn.foundation.constraints import SECONDS
from kerasrnn.foundation.constraints import check_fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Bounds on requests, connections and calls of the model's server.

    Attributes:
        max_body_bytes: Of a request's body.
        max_prompt_characters: Of one prompt.
        max_tokens: Characters that one completion may have.
        max_choices: Completions of one request: prompts times n.
        max_request_characters: Read and written for one request; each reading
            of each of its completions counts.
        max_reply_log_probs: Characters whose probabilities one reply lists,
            unless it is a stream: such a reply is held in memory as a whole.
        max_connections: With a request in progress; any more get status 503,
            except for probes. Beyond it those without one are closed.
        max_requests: Completions requests in progress for one caller that
            has no key.
        backend_calls: Calls that the model's server is sent at once; others
            wait for their turn, each caller's in a queue of its own.
        request_seconds: In which a client has to send its whole request.
        write_seconds: For which a client may leave a reply unread; reading
            some 64 kB of it begins them anew.
        idle_seconds: For which a connection without a request stays open. A
            proxy in between must give its own up sooner, or it sends requests
            to a connection that closes; nginx and most others do, after 60.
        drain_seconds: For which requests may continue after SIGTERM.
    """

    max_body_bytes: Annotated[int, POSITIVE_COUNT] = 2**20
    max_prompt_characters: Annotated[int, POSITIVE_COUNT] = 2**16
    max_tokens: Annotated[int, POSITIVE_COUNT] = 2**14
    max_choices: Annotated[int, POSITIVE_COUNT] = 32
    max_request_characters: Annotated[int, POSITIVE_COUNT] = 2**21
    max_reply_log_probs: Annotated[int, POSITIVE_COUNT] = 2**17
    max_connections: Annotated[int, POSITIVE_COUNT] = 1024
    max_requests: Annotated[int, POSITIVE_COUNT] = 256
    backend_calls: Annotated[int, POSITIVE_COUNT] = 32
    request_seconds: Annotated[float, SECONDS] = 10.0
    write_seconds: Annotated[float, SECONDS] = 20.0
    idle_seconds: Annotated[int, POSITIVE_COUNT] = 75
    drain_seconds: Annotated[int, POSITIVE_COUNT] = 25

    def __post_init__(self):
        check_fields(self)


# What --help says of each of them.
DESCRIPTIONS = {
    "max_body_bytes": "Bytes of a request's body, at most.",
    "max_prompt_characters": "Characters of one prompt, at most.",
    "max_tokens": "Characters of one completion, at most.",
    "max_choices": "Completions of one request (prompts times n), at most.",
    "max_request_characters": "Characters read and written for one request, "
    "at most; each reading of each completion counts.",
    "max_reply_log_probs": "Characters whose log probabilities one reply "
    "lists, at most, unless it is a stream.",
    "max_connections": "Connections with a request in progress; any more get "
    "status 503, except for probes. If more are open, those without a request "
    "are closed.",
    "max_requests": "Completions requests in progress for one address, where "
    "there are no keys.",
    "backend_calls": "Calls that the model's server is sent at once; others "
    "wait, and callers take turns. The server merges calls that arrive "
    "together: more are faster when many ask, with fewer a caller waits less "
    "for the others.",
    "request_seconds": "Seconds in which a client has to send its request.",
    "write_seconds": "Seconds for which a client may leave a reply unread.",
    "idle_seconds": "Seconds for which a connection without a request stays "
    "open. More than a proxy in between keeps it (nginx: 60).",
    "drain_seconds": "Seconds for which requests may continue after SIGTERM.",
}
