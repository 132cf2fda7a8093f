"""The model's server, as one request of the gateway calls it."""

from collections.abc import AsyncIterator
from collections.abc import Awaitable
from typing import TypeVar

from kerasrnn_serving.client import CHUNK
from kerasrnn_serving.client import AsyncClient
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score
from kerasrnn_serving.gateway.access.turns import Turns
from kerasrnn_serving.gateway.completions.request import Completion
from kerasrnn_serving.gateway.completions.request import CompletionRequest

Result = TypeVar("Result")


class Backend:
    """Makes calls for one caller, each when it is the caller's turn.

    Args:
        client: Of the model's server.
        turns: Whose turn it is.
        caller: On whose behalf; see `Turns`.
    """

    def __init__(self, client: AsyncClient, turns: Turns, caller: str):
        self._client = client
        self._turns = turns
        self._caller = caller

    async def read(self, text: str, state: bytes) -> Generation:
        """Reads a text from a state on; generates nothing."""
        return await self._one(
            self._client.generate([text], length=0, state_bytes=state)
        )

    async def score(self, text: str, state: bytes) -> Score:
        """Returns the text's probability from a state on."""
        return await self._one(self._client.score([text], state_bytes=state))

    async def inspect(self, text: str, state: bytes) -> Inspection:
        """Returns what the network does as it reads the text."""
        return await self._one(self._client.inspect([text], state_bytes=state))

    async def write_until(
        self,
        request: CompletionRequest,
        completion: Completion,
        prompt: str,
        state: bytes,
        length: int,
        stop: str,
    ) -> Generation:
        """Writes a piece again from a state on, up to a stop string."""
        return await self._one(
            self._client.generate(
                [prompt],
                length=length,
                stop=stop,
                state_bytes=state,
                **_sampling(request, completion),
            )
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

    async def _one(self, call: Awaitable[list[Result]]) -> Result:
        async with self._turns.turn(self._caller):
            (result,) = await call
        return result


def _sampling(request, completion):
    return {
        "temperature": request.temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
        "seed": completion.seed,
    }
