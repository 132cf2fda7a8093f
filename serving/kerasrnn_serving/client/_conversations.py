"""What the clients say to a server: conversations of calls in a row.

A call takes at most 32 rows, 4,096 characters of prompt and 512 of new text.
A longer request is made of calls in a row, each with the token that the last
one returned and all by the same version. Where the server lets go of that
version meanwhile, the work begins again under the newest one.
"""

from collections.abc import Callable

from kerasrnn.contract import signatures
from kerasrnn_serving.client import errors
from kerasrnn_serving.client._connection.exchange import Conversation
from kerasrnn_serving.client._model import Model
from kerasrnn_serving.client._pieces import inspection_sizes
from kerasrnn_serving.client._rows import GeneratingRow
from kerasrnn_serving.client._rows import ReadingRow
from kerasrnn_serving.client.errors import VersionGone

# How often a piece of work begins again before it is given up: versions do
# not come faster than texts, unless the replicas do not agree on them.
_RESTARTS = 3

# Called with a share from 0 to 1.
Progress = Callable[[float], None]


def _unseen(share):
    del share


def statuses(model: Model) -> Conversation:
    """Yields the list of (version, state, error) once."""
    yield (yield from model.statuses())


def generate(model: Model, rows: list[GeneratingRow]) -> Conversation:
    """Yields the list of each row's `Generation` once, when all is there."""
    yield from _beginning_again(rows, lambda: _generate(model, rows))
    yield [row.result() for row in rows]


def score(
    model: Model, rows: list[ReadingRow], between_calls: Progress = _unseen
) -> Conversation:
    """Yields the list of each row's `Score` once."""
    yield from _beginning_again(
        rows,
        lambda: _read(model, signatures.SCORE, rows, between_calls),
    )
    yield [row.score() for row in rows]


def inspect(
    model: Model,
    rows: list[ReadingRow],
    max_message_bytes: int | None = None,
    between_calls: Progress = _unseen,
) -> Conversation:
    """Yields the list of each row's `Inspection` once.

    A character of it takes some bytes for each unit of the network, so the
    calls are cut by the size of their replies.

    Args:
        model: Which.
        rows: What to read.
        max_message_bytes: That a reply may have; None is some megabytes.
        between_calls: Called with the share of the texts that is read.
    """
    dimensions = yield from model.output_dimensions(
        signatures.INSPECT, "activations"
    )
    units, name = dimensions[-1] if dimensions else (0, "")
    sizes = inspection_sizes(units, len(rows), max_message_bytes)
    yield from _beginning_again(
        rows,
        lambda: _read(model, signatures.INSPECT, rows, between_calls, *sizes),
    )
    num_layers = signatures.num_layers_named(name)
    yield [row.inspection(num_layers) for row in rows]


def stream(
    model: Model,
    row: GeneratingRow,
    first_chunk: int,
    chunk: int,
    between_reads: Progress = _unseen,
) -> Conversation:
    """Yields a row's text as it comes, as `Generation` of each chunk.

    Args:
        model: Whose text.
        row: The row.
        first_chunk: Characters of the first chunk; each next one is twice
            as long, up to `chunk`.
        chunk: Characters of a chunk at most.
        between_reads: Called with the share of the prompt that is read.
    """
    version, size, restarts = None, min(first_chunk, chunk), 0
    while not row.finish:
        try:
            version = yield from _advance(model, [row], size, version)
            between_reads(row.share_read)
        except VersionGone:
            # What was given out stays; the new version reads it, goes on.
            if not row.can_begin_again or restarts == _RESTARTS:
                raise
            row.begin_from_text()
            version, restarts = None, restarts + 1
            continue
        if row.texts and (row.texts[-1] or row.finish):
            yield row.take()
            size, restarts = min(2 * size, chunk), 0


def _beginning_again(rows, work: Callable[[], Conversation]):
    for restarts in range(_RESTARTS + 1):
        try:
            yield from work()
            return
        except VersionGone:
            known = all(row.can_begin_again for row in rows)
            if not known or restarts == _RESTARTS:
                raise
            for row in rows:
                row.begin()


def _generate(model, rows):
    version = None
    while pending := [row for row in rows if not row.finish]:
        for start in range(0, len(pending), signatures.MAX_ROWS):
            group = pending[start : start + signatures.MAX_ROWS]
            version = yield from _advance(
                model, group, signatures.MAX_LENGTH, version
            )


def _advance(model, rows, limit, version):
    """Makes one call for the rows; returns the version that answered."""
    asked = [row.next_call(limit) for row in rows]
    inputs = {
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
    model,
    signature,
    rows,
    between_calls,
    max_rows=signatures.MAX_ROWS,
    max_text=signatures.MAX_PROMPT,
):
    version = None
    while pending := [row for row in rows if not row.is_read]:
        for start in range(0, len(pending), max_rows):
            group = pending[start : start + max_rows]
            inputs = {
                "text": [row.next_piece(max_text) for row in group],
                "state_bytes": [row.state_bytes for row in group],
            }
            answer = yield from model.call(signature, inputs, version)
            version = answer.version
            _raise_row_errors(answer.outputs, group)
            for index, row in enumerate(group):
                values = {n: v[index] for n, v in answer.outputs.items()}
                row.update(values, version)
            total = sum(len(row.text) for row in rows)
            between_calls(sum(row.bytes_read for row in rows) / max(total, 1))


def _raise_row_errors(outputs, rows):
    for index, row in enumerate(rows):
        said = outputs["error"][index].decode("utf-8", "replace")
        if said:
            raise errors.of_row(row.index, said)
