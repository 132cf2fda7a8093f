"""What does the gateway cost? Against the gRPC client that it is made of.

    python -m benchmarks.serving.gateway_benchmark --streams=1,32,200

Streams of 512 characters, so many at once: the time to the first character,
from the request on, and the time per character after it, through the gateway
and through one `AsyncClient`, in alternation, with the local server over a
model of random weights. Then fairness: the time to the first character of 20
callers that ask now and then, alone and beside one that has so many streams
without end as it may.
"""

import asyncio
import contextlib
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import flags
from kerasrnn_serving.client import AsyncClient

from benchmarks.shared import served
from kerasrnn.command_line import program

_LENGTH = 512
_PROMPT = "the "
_OTHERS = 20
_GREEDY = "greedy"


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string(
        "model",
        "3x512",
        "Layers x units of the LSTM of random weights to serve.",
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "streams",
        ["1", "32", "200"],
        "How many streams at once.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "rounds", 3, "Turns of each side.", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "backend_calls", 256, "Of the gateway.", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "fair_calls", 2, "The same, for fairness.", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "greedy_streams",
        16,
        "Streams that the greedy caller has at once.",
        flag_values=flag_values,
    )


def main(argv) -> int:
    """Measures; returns the exit status."""
    del argv
    options = flags.FLAGS
    with tempfile.TemporaryDirectory() as folder:
        layers, units = map(int, options.model.split("x"))
        export = Path(folder, "export")
        served.write_export_aside(export, layers, units)
        with served.local_server(export) as (_, target):
            with _gateway(target, options.backend_calls) as port:
                asyncio.run(_compare(target, port, options))
            keys = Path(folder, "keys.json")
            secrets = _make_keys(keys)
            with _gateway(target, options.fair_calls, f"--keys={keys}") as port:
                asyncio.run(_fairness(port, secrets, options))
    return 0


@contextlib.contextmanager
def _gateway(target, backend_calls, *flags_of_it):
    """Yields the port of a gateway in a process of its own."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "kerasrnn_serving.programs.gateway"),
            *(f"--server={target}", "--port=0"),
            f"--backend_calls={backend_calls}",
            *flags_of_it,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(re.search(r":(\d+)\n", process.stderr.readline())[1])
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def _make_keys(path):
    secrets = {}
    for name in [_GREEDY, *map(str, range(_OTHERS))]:
        secrets[name] = subprocess.run(
            [
                *(sys.executable, "-m", "kerasrnn_serving.programs.gateway"),
                *("keys", "add", name, f"--keys={path}"),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    return secrets


async def _compare(target, port, options):
    async with AsyncClient(target) as client:

        async def by_client(seed):
            began, characters = time.perf_counter(), 0
            async for chunk in client.stream(
                _PROMPT, length=_LENGTH, seed=seed
            ):
                if not characters:
                    first, begin = time.perf_counter(), chunk.length
                characters += chunk.length
            last = time.perf_counter()
            return first - began, (last - first) / (characters - begin)

        async def by_gateway(seed):
            return await _stream(port, seed)

        sides = {"client": by_client, "gateway": by_gateway}
        for streams in map(int, options.streams):
            times = {name: [] for name in sides}
            errors = dict.fromkeys(sides, 0)
            for name in ["client", "gateway"] * (options.rounds + 1):
                results = await asyncio.gather(
                    *map(sides[name], range(streams)), return_exceptions=True
                )
                failed = [r for r in results if isinstance(r, BaseException)]
                errors[name] += len(failed)
                times[name].append([r for r in results if r not in failed])
            for name in sides:
                # The first round of each warms up.
                _print_times(name, streams, times[name][1:], errors[name])


def _print_times(name, streams, rounds, errors):
    first, each = zip(*(pair for one in rounds for pair in one), strict=True)
    print(
        f"{streams:4} streams, {name:8}: first character after "
        f"{1e3 * statistics.median(first):8.2f} ms, then "
        f"{1e6 * statistics.median(each):8.1f} us per character, "
        f"{errors} errors",
        flush=True,
    )


async def _stream(port, seed, length=_LENGTH, key=None):
    """Returns (seconds to the first character, seconds per character)."""
    body = json.dumps(
        {
            "prompt": _PROMPT,
            "max_tokens": length,
            "seed": seed,
            "stream": True,
        }
    ).encode()
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"POST /v1/completions HTTP/1.1\r\nHost: a\r\n{authorization}"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        characters, first, begin = 0, 0.0, 0
        while line := await reader.readline():
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            count = len(event["choices"][0]["text"])
            if not characters:
                first, begin = time.perf_counter(), count
            characters += count
        last = time.perf_counter()
        if characters != length:
            raise RuntimeError(f"{characters} characters of {length}")
        following = max(characters - begin, 1)
        return first - began, (last - first) / following
    finally:
        writer.close()


async def _fairness(port, secrets, options):
    chance = random.Random(0)

    async def others():
        """Returns the seconds to the first character of those that ask."""
        times = []

        async def ask(name):
            for seed in range(3):
                await asyncio.sleep(chance.uniform(0, 6))
                times.append((await _stream(port, seed, 8, secrets[name]))[0])

        await asyncio.gather(*(ask(str(name)) for name in range(_OTHERS)))
        return times

    async def endless(seed):
        while True:
            await _stream(port, seed, 16384, secrets[_GREEDY])

    alone, beside = [], []
    for _ in range(options.rounds):
        alone += await others()
        greedy = [
            asyncio.create_task(endless(seed))
            for seed in range(options.greedy_streams)
        ]
        beside += await others()
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)
    for name, times in (("alone", alone), ("beside a greedy caller", beside)):
        print(
            f"{_OTHERS} callers {name}: first character after "
            f"{1e3 * statistics.median(times):.2f} ms, 90th percentile "
            f"{1e3 * statistics.quantiles(times, n=10)[-1]:.2f} ms",
            flush=True,
        )


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
