"""Times streams through the gateway, as their reader has them."""

import asyncio
import json
import time


class GatewayStreams:
    """Streams from a gateway, over connections that are kept for the next.

    Args:
        port: The gateway's.
    """

    def __init__(self, port: int):
        self._port = port
        self._idle = []

    async def stream(self, key, prompt, length, seed):
        """Returns (seconds to the first character, seconds per character)."""
        body = json.dumps(
            {
                "prompt": prompt,
                "max_tokens": length,
                "seed": seed,
                "stream": True,
            }
        ).encode()
        began = time.perf_counter()
        reader, writer = await self._connection()
        try:
            writer.write(
                f"POST /v1/completions HTTP/1.1\r\nHost: a\r\n"
                f"Authorization: Bearer {key}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            times = await _read_stream(reader, began, length)
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return times

    async def _connection(self):
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            # It was idle for longer than the gateway waits.
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)

    def close(self):
        """Closes the connections."""
        for _, writer in self._idle:
            writer.close()


async def _read_stream(reader, began, length):
    characters, first, begin = 0, 0.0, 0
    # The last chunk has no bytes and, as here, no trailers.
    while (line := await reader.readline()) != b"0\r\n":
        if not line:
            raise RuntimeError("the gateway closed the connection")
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        count = len(event["choices"][0]["text"])
        if not characters:
            first, begin = time.perf_counter(), count
        characters += count
    last = time.perf_counter()
    await reader.readline()
    if characters != length:
        raise RuntimeError(f"{characters} characters of {length}")
    following = max(characters - begin, 1)
    return first - began, (last - first) / following
