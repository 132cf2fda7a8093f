"""What is kept of each request: a line of the log, and the metrics."""

import dataclasses
import json
import secrets
import sys
import time
from collections.abc import Iterable
from typing import TextIO

import prometheus_client

from kerasrnn_serving.client.results import VersionStatus
from kerasrnn_serving.gateway.access.turns import Turns

PROBES = ("/healthz", "/readyz", "/metrics")
_PREFIX = "kerasrnn_gateway_"
_FIRST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_EACH = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1)


@dataclasses.dataclass
class Record:
    """One request, as the log has it. Texts are not in it.

    Attributes:
        method: Of HTTP.
        path: As it was asked for.
        address: The client's.
        id: Given to the request; the reply's header x-request-id.
        caller: The key's name, where there are keys.
        user: As the request names it.
        status: Of the reply; None where the client left before.
        version: Of the model.
        choices: Texts that were asked for.
        prompt_characters: That were read.
        characters: That were generated.
        first_seconds: Until the first of them was sent.
        left: Whether the client went away before the end.
        error: What failed or why it was refused, with what strangers are
            not told.
    """

    method: str
    path: str
    address: str
    id: str = dataclasses.field(
        default_factory=lambda: f"req-{secrets.token_hex(8)}"
    )
    caller: str | None = None
    user: str | None = None
    status: int | None = None
    version: int | None = None
    choices: int | None = None
    prompt_characters: int | None = None
    characters: int | None = None
    first_seconds: float | None = None
    left: bool = False
    error: str | None = None

    def __post_init__(self):
        self._began = time.perf_counter()
        self._first = None

    @property
    def seconds(self) -> float:
        """Since the request came."""
        return time.perf_counter() - self._began

    def wrote(self, characters: int) -> None:
        """Notes that so many characters have come from the model."""
        if self.first_seconds is None and characters:
            self.first_seconds = self.seconds
            self._first = characters
        self.characters = (self.characters or 0) + characters

    @property
    def seconds_per_character(self) -> float | None:
        """Between characters, after those that came first."""
        following = (self.characters or 0) - (self._first or 0)
        if self.first_seconds is None or following <= 0:
            return None
        return (self.seconds - self.first_seconds) / following

    def line(self) -> str:
        """Returns the line of the log."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        fields = {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in dataclasses.asdict(self).items()
            if value is not None and value is not False
        }
        seconds = round(self.seconds, 6)
        return json.dumps({"time": now, **fields, "seconds": seconds})


class Metrics:
    """What Prometheus collects, of one gateway.

    Args:
        turns: Of the calls of the model's server.
        paths: That are told apart; a stranger can ask for any other.
    """

    def __init__(self, turns: Turns, paths: Iterable[str]):
        self._paths = frozenset(paths)
        self._registry = registry = prometheus_client.CollectorRegistry()

        def metric(kind, name, text, labels=(), **options):
            return kind(
                _PREFIX + name, text, labels, registry=registry, **options
            )

        counter, gauge = prometheus_client.Counter, prometheus_client.Gauge
        histogram = prometheus_client.Histogram
        self._requests = metric(
            counter, "requests", "Requests.", ("path", "status")
        )
        self._characters = metric(
            counter, "characters", "Characters.", ("kind",)
        )
        self._first = metric(
            histogram,
            "first_character_seconds",
            "Until the first character was sent.",
            buckets=_FIRST,
        )
        self._each = metric(
            histogram,
            "character_seconds",
            "Between two characters of a request, in the mean.",
            buckets=_EACH,
        )
        self._errors = metric(
            counter, "errors", "Replies that were no success.", ("code",)
        )
        self._left = metric(
            counter, "clients_left", "Clients that left before the end."
        )
        self.completing = metric(
            gauge, "completions_running", "Completions requests in progress."
        )
        metric(
            gauge, "backend_calls_running", "Calls of the model's server."
        ).set_function(lambda: turns.running)
        metric(
            gauge, "backend_calls_waiting", "Calls that wait for their turn."
        ).set_function(lambda: turns.waiting)
        self._versions = metric(
            gauge,
            "backend_version",
            "1 for each version that the model's server has, by state.",
            ("version", "state"),
        )

    def observe(self, record: Record) -> None:
        """Counts a request that has ended."""
        path = record.path if record.path in self._paths else "other"
        self._requests.labels(path, str(record.status or "none")).inc()
        self._characters.labels("read").inc(record.prompt_characters or 0)
        self._characters.labels("generated").inc(record.characters or 0)
        if record.first_seconds is not None:
            self._first.observe(record.first_seconds)
        if (each := record.seconds_per_character) is not None:
            self._each.observe(each)
        if record.left:
            self._left.inc()

    def failed(self, code: str) -> None:
        """Counts a reply, or the end of a stream, that was no success."""
        self._errors.labels(code).inc()

    def saw_versions(self, versions: Iterable[VersionStatus]) -> None:
        """Notes which versions the model's server has."""
        self._versions.clear()
        for status in versions:
            self._versions.labels(str(status.version), status.state).set(1)

    def text(self) -> bytes:
        """Returns all of it, as Prometheus reads it."""
        return prometheus_client.generate_latest(self._registry)


class Log:
    """Writes one JSON object a line.

    Args:
        file: Where to; None is standard output.
    """

    def __init__(self, file: TextIO | None = None):
        self._file = file or sys.stdout

    def write(self, record: Record) -> None:
        """Writes the line of a request; a log that is full ends nothing.

        Probes that are content, some a second for ever, leave none.
        """
        if record.path in PROBES and record.status == 200:
            return
        try:
            print(record.line(), file=self._file, flush=True)
        except OSError:
            pass
