"""The model's server, as one request of the gateway calls it."""

from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from typing import ParamSpec
from typing import TypeVar

from kerasrnn_serving.client import CHUNK
from kerasrnn_serving.client import AsyncClient
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score
from kerasrnn_serving.gateway.access.turns import Turns
from kerasrnn_serving.gateway.completions.request import Completion
from kerasrnn_serving.gateway.completions.request import CompletionRequest

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Backend:
    """Makes calls for one caller, each when it is the caller's turn.

    A text's tokens are of use to the version alone that wrote them. So the
    calls beside a stream name the version that they mean.

    Args:
        client: Of the model's server.
        turns: Whose turn it is.
        caller: On whose behalf; see `Turns`.
    """

    def __init__(self, client: AsyncClient, turns: Turns, caller: str):
        self._client = client
        self._turns = turns
        self._caller = caller

    async def read(
        self, text: str, state: bytes, version: int | None
    ) -> Generation:
        """Reads a text from a state on; generates nothing.

        Args:
            text: To read.
            state: Token of the text before; empty is the start.
            version: Which is to read it; None is the newest.

        Raises:
            ServingError: The call failed.
            VersionGone: The version is not served.
        """
        (read,) = await self._in_turn(
            self._client.generate,
            [text],
            length=0,
            state_bytes=state,
            version=version,
        )
        return read

    async def score(self, text: str, state: bytes, version: int) -> Score:
        """Returns the text's probability from a state on; see `read`."""
        (score,) = await self._in_turn(
            self._client.score, [text], state_bytes=state, version=version
        )
        return score

    async def inspect(
        self, text: str, state: bytes, version: int
    ) -> Inspection:
        """Returns what the network does as it reads the text; see `read`."""
        (inspection,) = await self._in_turn(
            self._client.inspect, [text], state_bytes=state, version=version
        )
        return inspection

    async def write_until(
        self,
        request: CompletionRequest,
        completion: Completion,
        prompt: str,
        state: bytes,
        version: int,
        stops: Mapping[str, int],
    ) -> list[Generation]:
        """Writes a piece again from a state on, up to each stop string.

        Args:
            request: How to write it.
            completion: Which.
            prompt: To read first.
            state: Token of the text before.
            version: That wrote the piece.
            stops: By stop string the characters to write at most.

        Returns:
            A text for each stop string.

        Raises:
            ServingError: The call failed.
            VersionGone: The version is not served.
        """
        return await self._in_turn(
            self._client.generate,
            [prompt] * len(stops),
            length=list(stops.values()),
            stop=list(stops),
            state_bytes=state,
            version=version,
            **_sampling(request, completion),
        )

    async def stream(
        self, request: CompletionRequest, completion: Completion, first: int
    ) -> AsyncIterator[Generation]:
        """Iterates over the chunks of a text.

        Args:
            request: How to write it.
            completion: Which.
            first: Characters of the first chunk.
        """
        chunks = self._client.stream(
            completion.prompt,
            length=request.max_tokens,
            # The server looks for one; see `writer` for several.
            stop=request.stop[0] if len(request.stop) == 1 else "",
            state_bytes=completion.state,
            first_chunk=first,
            chunk=CHUNK,
            **_sampling(request, completion),
        )
        while True:
            async with self._turns.turn(self._caller):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk

    async def _in_turn(
        self,
        call: Callable[Arguments, Awaitable[Result]],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Result:
        async with self._turns.turn(self._caller):
            return await call(*arguments, **options)


def _sampling(request, completion):
    return {
        "temperature": request.temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
        "seed": completion.seed,
    }
