"""The client of a served model; needs no TensorFlow.

    with Client("localhost:8500") as client:
        for chunk in client.stream("ROMEO:", length=1000):
            print(chunk.text, end="", flush=True)

A call of the server takes at most 32 rows, 4,096 characters of prompt and
512 of new text. The client makes of a longer request calls in a row, each
with the token that the last one returned and all by the same version.
"""

from collections.abc import Iterator
from collections.abc import Sequence

from kerasrnn_export import signatures

from kerasrnn.errors import UserError
from kerasrnn_serving import serving_error
from kerasrnn_serving.model import Model
from kerasrnn_serving.results import Generation
from kerasrnn_serving.results import Inspection
from kerasrnn_serving.results import Score
from kerasrnn_serving.rows import generating_rows
from kerasrnn_serving.rows import reading_rows
from kerasrnn_serving.transport import Tls
from kerasrnn_serving.transport import Transport

# The first chunk of a stream is small, so that it comes at once.
FIRST_CHUNK = 8
CHUNK = 64


class Client:
    """A connection to one model on one server.

    It may be used from many threads. Close it, or use it in `with`.

    Args:
        target: The server's address, host:port.
        model: The model's name.
        version: The version to ask for; None is the newest.
        timeout: Seconds that each call of the server may take.
        tls: Of an encrypted connection.
        token: Bearer token sent with each call; needs `tls`.
    """

    def __init__(
        self,
        target: str,
        model: str = "kerasrnn",
        *,
        version: int | None = None,
        timeout: float = 60.0,
        tls: Tls | None = None,
        token: str | None = None,
    ):
        self._transport = Transport(target, model, timeout, tls, token)
        self._model = Model(self._transport, model, version)
        self._version = version

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def versions(self) -> list[tuple[int, str, str]]:
        """Returns (version, state, error) of each version the server knows.

        Raises:
            ServingError: The server does not answer or has no such model.
        """
        return self._model.statuses()

    def generate(
        self,
        prompts: Sequence[str | bytes] | str | bytes,
        *,
        length: int | Sequence[int] = 200,
        temperature: float | Sequence[float] = 1.0,
        top_k: int | Sequence[int] = 0,
        top_p: float | Sequence[float] = 1.0,
        seed: int | Sequence[int] | None = None,
        stop: str | bytes | Sequence[str | bytes] = "",
        state_bytes: bytes | Sequence[bytes] = b"",
    ) -> list[Generation]:
        """Continues each prompt.

        Each parameter is one value for all prompts, or one for each.

        Args:
            prompts: The N texts to continue; one text is a list of one.
            length: Characters to generate, as many as you like.
            temperature: Divides the logits; 0 takes the likeliest.
            top_k: Draw among the k likeliest characters; 0 is off.
            top_p: Draw among the likeliest that add up to this; 1 is off.
            seed: The same seed gives the same text; None draws one for each
                prompt, and the result names it.
            stop: Ends a text once it ends with this; empty is off.
            state_bytes: Token of an earlier result to go on from.

        Returns:
            N `Generation`.

        Raises:
            ServingError: The call failed, or a row was refused.
            UserError: A parameter's type or number is wrong.
        """
        rows = generating_rows(
            prompts,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            stop=stop,
            state_bytes=state_bytes,
        )
        version = self._version
        while pending := [row for row in rows if not row.finish]:
            for start in range(0, len(pending), signatures.MAX_ROWS):
                group = pending[start : start + signatures.MAX_ROWS]
                version = self._advance(group, signatures.MAX_LENGTH, version)
        return [row.result() for row in rows]

    def stream(
        self,
        prompt: str | bytes,
        *,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: str | bytes = "",
        state_bytes: bytes = b"",
        chunk: int = CHUNK,
        first_chunk: int = FIRST_CHUNK,
    ) -> Iterator[Generation]:
        """Continues a prompt, and yields the text as it is generated.

        The chunks' texts together are what `generate` returns for the same
        seed, however they are cut. See `generate` for the arguments.

        Args:
            prompt: The text to continue.
            length: Characters to generate.
            temperature: See `generate`.
            top_k: See `generate`.
            top_p: See `generate`.
            seed: See `generate`.
            stop: See `generate`.
            state_bytes: See `generate`.
            chunk: Characters of a chunk, at most 512.
            first_chunk: Characters of the first; each next one is twice as
                long, up to `chunk`.

        Yields:
            `Generation` of each chunk; the last has its `finish`.

        Raises:
            ServingError: A call failed, or the row was refused.
        """
        for name, size in (("chunk", chunk), ("first_chunk", first_chunk)):
            if not 1 <= size <= signatures.MAX_LENGTH:
                raise UserError(
                    f"{name} must be 1 to {signatures.MAX_LENGTH}, not {size}."
                )
        (row,) = generating_rows(
            [prompt],
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            stop=stop,
            state_bytes=state_bytes,
        )
        return self._chunks(row, min(first_chunk, chunk), chunk)

    def _chunks(self, row, size, largest):
        version = self._version
        while not row.finish:
            version = self._advance([row], size, version)
            if row.texts and (row.texts[-1] or row.finish):
                yield row.take()
                size = min(2 * size, largest)

    def _advance(self, rows, limit, version):
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
        answer = self._model.call(signatures.GENERATE, inputs, version)
        _raise_row_errors(answer.outputs, rows)
        for index, row in enumerate(rows):
            values = {name: v[index] for name, v in answer.outputs.items()}
            row.update(values, answer.version)
            if row.stuck(asked[index][1], values):
                raise serving_error.of_answer(
                    self._transport.target, "nothing was generated"
                )
        return answer.version

    def score(
        self,
        texts: Sequence[str | bytes] | str | bytes,
        *,
        state_bytes: bytes | Sequence[bytes] = b"",
    ) -> list[Score]:
        """Gives each text its probability.

        Args:
            texts: The N texts, of any length; one text is a list of one.
            state_bytes: Token of an earlier result to go on from.

        Returns:
            N `Score`.

        Raises:
            ServingError: The call failed, or a row was refused.
        """
        rows = reading_rows(texts, state_bytes)
        self._read(signatures.SCORE, rows)
        return [row.score() for row in rows]

    def inspect(
        self,
        texts: Sequence[str | bytes] | str | bytes,
        *,
        state_bytes: bytes | Sequence[bytes] = b"",
    ) -> list[Inspection]:
        """Shows what the network does while it reads each text.

        Args:
            texts: The N texts, of any length; one text is a list of one.
            state_bytes: Token of an earlier result to go on from.

        Returns:
            N `Inspection`.

        Raises:
            ServingError: The call failed, or a row was refused.
        """
        rows = reading_rows(texts, state_bytes)
        self._read(signatures.INSPECT, rows)
        return [row.inspection() for row in rows]

    def _read(self, signature, rows):
        version = self._version
        while pending := [row for row in rows if row.pieces]:
            for start in range(0, len(pending), signatures.MAX_ROWS):
                group = pending[start : start + signatures.MAX_ROWS]
                inputs = {
                    "text": [row.pieces[0] for row in group],
                    "state_bytes": [row.state_bytes for row in group],
                }
                answer = self._model.call(signature, inputs, version)
                version = answer.version
                _raise_row_errors(answer.outputs, group)
                for index, row in enumerate(group):
                    values = {n: v[index] for n, v in answer.outputs.items()}
                    row.update(values, version)


def _raise_row_errors(outputs, rows):
    for index, row in enumerate(rows):
        said = outputs["error"][index].decode("utf-8", "replace")
        if said:
            raise serving_error.of_row(row.index, said)
