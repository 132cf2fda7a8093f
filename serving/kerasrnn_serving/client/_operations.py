"""What the clients ask of a server, as conversations: sequences of calls.

A call takes at most 32 rows, 4,096 characters of prompt and 512 of new text.
A longer request takes several calls, each with the token that the one before
returned, all to the same version. If the server unloads that version meanwhile,
the work begins again with the newest one, unless one version was asked for.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Unpack

from kerasrnn.contract import signatures
from kerasrnn_serving.client._answer_errors import refused_row
from kerasrnn_serving.client._arguments import Text
from kerasrnn_serving.client._arguments import version_number
from kerasrnn_serving.client._arguments import whole_number
from kerasrnn_serving.client._connection.conversation import Conversation
from kerasrnn_serving.client._connection.failures import is_too_large
from kerasrnn_serving.client._model import Model
from kerasrnn_serving.client._progress import GenerationProgress
from kerasrnn_serving.client._progress import ReadingProgress
from kerasrnn_serving.client._progress import Sampling
from kerasrnn_serving.client._progress import begin_generating
from kerasrnn_serving.client._progress import begin_reading
from kerasrnn_serving.client._reading_sizes import InspectionSizes
from kerasrnn_serving.client._reading_sizes import ReadingSizes
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.client.errors import VersionGone
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score
from kerasrnn_serving.client.results import VersionStatus

# How often a piece of work begins again before it is given up: versions do
# not come faster than texts, unless the replicas do not agree on them.
_RESTARTS = 3

# Called with a share from 0 to 1.
_OnShare = Callable[[float], None]


def versions(model: Model) -> Conversation[list[VersionStatus]]:
    """Does the work of `Client.versions`."""
    return model.statuses()


def generate(
    model: Model,
    prompts: Text | Sequence[Text],
    version: int | None,
    **sampling: Unpack[Sampling],
) -> Conversation[list[Generation]]:
    """Does the work of `Client.generate`."""
    version_number(version)
    rows = begin_generating(prompts, **sampling)
    yield from _beginning_again(
        rows, version, lambda: _generate(model, rows, version)
    )
    return [row.result() for row in rows]


def score(
    model: Model,
    texts: Text | Sequence[Text],
    state_bytes: bytes | Sequence[bytes],
    version: int | None,
    between_calls: _OnShare,
) -> Conversation[list[Score]]:
    """Does the work of `Client.score`."""
    version_number(version)
    rows = begin_reading(texts, state_bytes)
    sizes = ReadingSizes()
    yield from _beginning_again(
        rows,
        version,
        lambda: _read(
            model, signatures.SCORE, rows, version, sizes, between_calls
        ),
    )
    return [row.score() for row in rows]


def inspect(
    model: Model,
    texts: Text | Sequence[Text],
    state_bytes: bytes | Sequence[bytes],
    version: int | None,
    max_message_bytes: int | None,
    between_calls: _OnShare,
) -> Conversation[list[Inspection]]:
    """Does the work of `Client.inspect`.

    A character of a reply takes some bytes for each unit of the network, so
    the calls are cut by the size of their replies, at most
    `max_message_bytes` (None is some megabytes).
    """
    version_number(version)
    rows = begin_reading(texts, state_bytes)
    num_layers: int | None = None

    def work() -> Conversation[None]:
        nonlocal num_layers
        sizes = InspectionSizes(model, len(rows), max_message_bytes)
        yield from _read(
            model, signatures.INSPECT, rows, version, sizes, between_calls
        )
        # What answered may be newer than what was known before.
        answered = rows[0].version if rows else version
        num_layers = yield from sizes.num_layers(answered)

    yield from _beginning_again(rows, version, work)
    return [row.inspection(num_layers) for row in rows]


class Stream:
    """Does the work of `Client.stream`: asks for a text chunk by chunk.

    Args:
        model: Whose text.
        prompt: The text to continue.
        chunk: Characters of a chunk at most.
        first_chunk: Characters of the first chunk; each next one is twice
            as long, up to `chunk`.
        between_reads: Called with the share of the prompt that is read.
        **sampling: See `Client.generate`.

    Raises:
        UserError: An argument's type is wrong, or it is out of range.
    """

    def __init__(
        self,
        model: Model,
        prompt: Text,
        *,
        chunk: int,
        first_chunk: int,
        between_reads: _OnShare,
        **sampling: Unpack[Sampling],
    ):
        for name, size in (("chunk", chunk), ("first_chunk", first_chunk)):
            whole_number(size, name, 1, signatures.MAX_LENGTH)
        (self._row,) = begin_generating([prompt], **sampling)
        self._model = model
        self._version: int | None = None
        self._size = min(first_chunk, chunk)
        self._largest = chunk
        self._between_reads = between_reads
        self._restarts = 0

    def next_chunk(self) -> Conversation[Generation | None]:
        """Returns the next chunk; None after the last."""
        row = self._row
        while not row.finish:
            try:
                self._version = yield from _advance(
                    self._model, [row], self._size, self._version
                )
                self._between_reads(row.share_read)
            except VersionGone:
                # What was given out stays: the new version reads it, too.
                if not row.can_begin_again or self._restarts == _RESTARTS:
                    raise
                row.begin_from_text()
                self._version = None
                self._restarts += 1
                continue
            if row.has_news:
                self._size = min(2 * self._size, self._largest)
                self._restarts = 0
                return row.take()
        return None


def _beginning_again(
    rows: Sequence[GenerationProgress | ReadingProgress],
    version: int | None,
    work: Callable[[], Conversation[None]],
) -> Conversation[None]:
    for restarts in range(_RESTARTS + 1):
        try:
            yield from work()
            return
        except VersionGone:
            known = all(row.can_begin_again for row in rows)
            if version is not None or not known or restarts == _RESTARTS:
                raise
            for row in rows:
                row.begin()


def _generate(
    model: Model, rows: list[GenerationProgress], version: int | None
) -> Conversation[None]:
    while pending := [row for row in rows if not row.finish]:
        for start in range(0, len(pending), signatures.MAX_ROWS):
            group = pending[start : start + signatures.MAX_ROWS]
            version = yield from _advance(
                model, group, signatures.MAX_LENGTH, version
            )


def _advance(
    model: Model,
    rows: list[GenerationProgress],
    limit: int,
    version: int | None,
) -> Conversation[int]:
    """Makes one call for the rows; returns the version that answered."""
    asked = [row.next_call(limit) for row in rows]
    inputs: dict[str, Sequence[Any]] = {
        "prompt": [prompt for prompt, _ in asked],
        "state_bytes": [row.state_bytes for row in rows],
        "length": [length for _, length in asked],
        "temperature": [row.temperature for row in rows],
        "top_k": [row.top_k for row in rows],
        "top_p": [row.top_p for row in rows],
        "seed": [row.seed for row in rows],
        "stop": [row.stop for row in rows],
    }
    answer = yield from model.call(signatures.GENERATE, inputs, version)
    _raise_row_errors(answer.outputs, rows)
    for index, row in enumerate(rows):
        values = {name: v[index] for name, v in answer.outputs.items()}
        row.update(values, answer.version)
        if row.stuck(asked[index][1], values):
            raise model.unusable("nothing was generated")
    return answer.version


def _read(
    model: Model,
    signature: signatures.Signature,
    rows: list[ReadingProgress],
    version: int | None,
    sizes: ReadingSizes,
    between_calls: _OnShare,
) -> Conversation[None]:
    total = sum(len(row.text) for row in rows)
    while pending := [row for row in rows if not row.is_read]:
        max_rows, max_text = yield from sizes.of(version)
        group = pending[:max_rows]
        inputs = {
            "text": [row.next_piece(max_text) for row in group],
            "state_bytes": [row.state_bytes for row in group],
        }
        try:
            answer = yield from model.call(signature, inputs, version)
        except ServingError as error:
            if not is_too_large(error) or not sizes.shrink():
                raise
            continue
        version = answer.version
        _raise_row_errors(answer.outputs, group)
        for index, row in enumerate(group):
            values = {n: v[index] for n, v in answer.outputs.items()}
            row.update(values, version)
        between_calls(sum(row.bytes_read for row in rows) / max(total, 1))


def _raise_row_errors(
    outputs: Mapping[str, Any],
    rows: Sequence[GenerationProgress | ReadingProgress],
) -> None:
    for index, row in enumerate(rows):
        said = outputs["error"][index].decode("utf-8", "replace")
        if said:
            raise refused_row(row.index, said)
