"""The client for an event loop."""

from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from kerasrnn_serving.client import _operations
from kerasrnn_serving.client._arguments import Text
from kerasrnn_serving.client._base_client import CHUNK
from kerasrnn_serving.client._base_client import FIRST_CHUNK
from kerasrnn_serving.client._base_client import BaseClient
from kerasrnn_serving.client._connection.async_transport import AsyncTransport
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.conversation import Conversation
from kerasrnn_serving.client._connection.conversation import Result
from kerasrnn_serving.client._connection.conversation import hold_async
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score
from kerasrnn_serving.client.results import VersionStatus


class AsyncClient(BaseClient[AsyncTransport]):
    """`Client` for the tasks of one event loop.

    It takes the same arguments and has the same methods; here they are awaited,
    and iterators are asynchronous. A task that is cancelled cancels its call.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls that are running fail."""
        await self._transport.close()

    async def versions(self) -> list[VersionStatus]:
        """Asks which versions the server knows; see `Client.versions`."""
        return await self._hold(_operations.versions(self._model))

    async def generate(
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
        """Continues each prompt; see `Client.generate`."""
        return await self._hold(
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
    ) -> AsyncIterator[Generation]:
        """Iterates over the text as it comes; see `Client.stream`."""
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

    async def score(
        self,
        texts: Text | Sequence[Text],
        *,
        state_bytes: bytes | Sequence[bytes] = b"",
        version: int | None = None,
        between_calls: Callable[[float], None] = lambda share: None,
    ) -> list[Score]:
        """Gives each text its probability; see `Client.score`."""
        return await self._hold(
            _operations.score(
                self._model, texts, state_bytes, version, between_calls
            )
        )

    async def inspect(
        self,
        texts: Text | Sequence[Text],
        *,
        state_bytes: bytes | Sequence[bytes] = b"",
        version: int | None = None,
        between_calls: Callable[[float], None] = lambda share: None,
    ) -> list[Inspection]:
        """Shows what the network does; see `Client.inspect`."""
        return await self._hold(
            _operations.inspect(
                self._model,
                texts,
                state_bytes,
                version,
                self._max_message_bytes,
                between_calls,
            )
        )

    def _make_transport(self, target: Target) -> AsyncTransport:
        return AsyncTransport(target)

    async def _hold(self, conversation: Conversation[Result]) -> Result:
        return await hold_async(conversation, self._transport.send)

    async def _chunks(
        self, stream: _operations.Stream
    ) -> AsyncIterator[Generation]:
        while (chunk := await self._hold(stream.next_chunk())) is not None:
            yield chunk
