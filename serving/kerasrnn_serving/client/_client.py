"""The client for threads."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from kerasrnn_serving.client import _operations
from kerasrnn_serving.client._arguments import Text
from kerasrnn_serving.client._base_client import CHUNK
from kerasrnn_serving.client._base_client import FIRST_CHUNK
from kerasrnn_serving.client._base_client import BaseClient
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.conversation import Conversation
from kerasrnn_serving.client._connection.conversation import Result
from kerasrnn_serving.client._connection.conversation import hold
from kerasrnn_serving.client._connection.transport import Transport
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score
from kerasrnn_serving.client.results import VersionStatus


class Client(BaseClient[Transport]):
    """A connection to one model on one server.

    It may be used from many threads. Close it, or use it in `with`.

    Args:
        target: The server's address, host:port; or a name that gRPC resolves,
            such as dns:///models:8500, whose addresses are called in turn.
        model: The model's name.
        version: The version to use; None is the newest.
        timeout: Seconds that each call of the server may take, including
            retries.
        tls: Settings for an encrypted connection.
        token: Bearer token sent with each call; needs `tls`.
        max_message_bytes: Largest size of a message in either direction; None
            sets no limit.

    Raises:
        UserError: A setting is invalid, or a file of `tls` cannot be read.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls that are running fail."""
        self._transport.close()

    def versions(self) -> list[VersionStatus]:
        """Asks which versions the server knows.

        Returns:
            The versions, each with its state.

        Raises:
            ServingError: The server does not answer or has no such model.
        """
        return self._hold(_operations.versions(self._model))

    def generate(
        self,
        prompts: Text | Sequence[Text],
        *,
        length: int | Sequence[int] = 200,
        temperature: float | Sequence[float] = 1.0,
        top_k: int | Sequence[int] = 0,
        top_p: float | Sequence[float] = 1.0,
        seed: int | Sequence[int] | None = None,
        stop: Text | Sequence[Text] = "",
        state_bytes: bytes | Sequence[bytes] = b"",
        version: int | None = None,
    ) -> list[Generation]:
        """Continues each prompt.

        Each parameter is one value for all prompts, or a list with one for
        each.

        Args:
            prompts: The N texts to continue; a single text counts as a list of
                one.
            length: Characters to generate; there is no limit.
            temperature: Divides the logits; 0 takes the most likely character.
            top_k: Draw from the k most likely characters; 0 turns this off.
            top_p: Draw from the most likely characters whose probabilities add
                up to this; 1 turns this off.
            seed: The same seed gives the same text; None draws one for each
                prompt, which the result has.
            stop: Ends a text once it ends with this; empty never does.
            state_bytes: Token of an earlier result to continue from.
            version: The version to ask for, such as that of the result which
                `state_bytes` comes from; None is the client's. No other one
                takes its place.

        Returns:
            A list of N `Generation`, all from one version.

        Raises:
            ServingError: The call failed, a row was refused, or the version
                is not served.
            UserError: A parameter's type or number is wrong.
        """
        return self._hold(
            _operations.generate(
                self._model,
                prompts,
                version,
                length=length,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                seed=seed,
                stop=stop,
                state_bytes=state_bytes,
            )
        )

    def stream(
        self,
        prompt: Text,
        *,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Text = "",
        state_bytes: bytes = b"",
        chunk: int = CHUNK,
        first_chunk: int = FIRST_CHUNK,
        between_reads: Callable[[float], None] = lambda share: None,
    ) -> Iterator[Generation]:
        """Continues a prompt, and iterates over the text as it arrives.

        Joined, the chunks are the text that `generate` returns for the same
        seed, whatever their sizes. If the server unloads the version that a
        stream began with, the newest one reads the text so far and continues,
        and the chunks are marked `restarted`; a stop string is then only found
        in the text that follows.

        Args:
            prompt: The text to continue.
            length: Characters to generate.
            temperature: See `generate`.
            top_k: See `generate`.
            top_p: See `generate`.
            seed: See `generate`.
            stop: See `generate`.
            state_bytes: See `generate`. The client does not know the text that
                it stands for, so the stream fails if its version is unloaded.
            chunk: Characters of a chunk, at most 512.
            first_chunk: Characters of the first chunk; each following one is
                twice as long, up to `chunk`.
            between_reads: Called after each call with the share of the prompt
                that has been read.

        Returns:
            An iterator over the chunks, each a `Generation`; the last one has
            `finish`. Each chunk is requested when the iterator reaches it.

        Raises:
            UserError: A parameter's type is wrong, or it is out of range: at
                once.
            ServingError: A call failed, or the row was refused: while the
                iterator is read.
        """
        stream = _operations.Stream(
            self._model,
            prompt,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            stop=stop,
            state_bytes=state_bytes,
            chunk=chunk,
            first_chunk=first_chunk,
            between_reads=between_reads,
        )
        return self._chunks(stream)

    def score(
        self,
        texts: Text | Sequence[Text],
        *,
        state_bytes: bytes | Sequence[bytes] = b"",
        version: int | None = None,
        between_calls: Callable[[float], None] = lambda share: None,
    ) -> list[Score]:
        """Computes how likely each text is.

        Args:
            texts: The N texts, of any length; one text is a list of one.
            state_bytes: Token of an earlier result to continue from.
            version: See `generate`.
            between_calls: Called with the share of the texts that is read,
                after each call.

        Returns:
            A list of N `Score`, all by one version.

        Raises:
            ServingError: The call failed, a row was refused, or the version
                is not served.
            UserError: A parameter's type or number is wrong.
        """
        return self._hold(
            _operations.score(
                self._model, texts, state_bytes, version, between_calls
            )
        )

    def inspect(
        self,
        texts: Text | Sequence[Text],
        *,
        state_bytes: bytes | Sequence[bytes] = b"",
        version: int | None = None,
        between_calls: Callable[[float], None] = lambda share: None,
    ) -> list[Inspection]:
        """Shows what the network does while it reads each text.

        Args:
            texts: The N texts, of any length; one text is a list of one.
            state_bytes: Token of an earlier result to continue from.
            version: See `generate`.
            between_calls: Called with the share of the texts that is read,
                after each call.

        Returns:
            A list of N `Inspection`, all by one version.

        Raises:
            ServingError: The call failed, a row was refused, or the version
                is not served.
            UserError: A parameter's type or number is wrong.
        """
        return self._hold(
            _operations.inspect(
                self._model,
                texts,
                state_bytes,
                version,
                self._max_message_bytes,
                between_calls,
            )
        )

    def _make_transport(self, target: Target) -> Transport:
        return Transport(target)

    def _hold(self, conversation: Conversation[Result]) -> Result:
        return hold(conversation, self._transport.send)

    def _chunks(self, stream: _operations.Stream) -> Iterator[Generation]:
        while (chunk := self._hold(stream.next_chunk())) is not None:
            yield chunk
