"""What does the gateway cost? Against the gRPC client that it is made of.

    python -m benchmarks.serving.gateway_benchmark --streams=1,32,200

Streams of 512 characters, so many at once: the time to the first character,
from the request on, and the time per character after it, through the gateway
and through one `AsyncClient`, in alternation, with the local server over a
model of random weights; where nginx is installed, also through the client with
nginx in between, as a plain reverse proxy. Connections are kept from stream to
stream. Then fairness: the time to the first character of 20 callers that ask
now and then, alone and beside one that has so many streams without end as it
may. --backend_calls=2,32 compares gateways that send the server so many calls
at once.
"""

import asyncio
import contextlib
import functools
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
from kerasrnn_serving.gateway.access.key_commands import run_command
from kerasrnn_serving.gateway.access.limits import Limits

from benchmarks.serving.gateway_streams import GatewayStreams
from benchmarks.serving.reverse_proxy import reverse_proxy
from benchmarks.shared import served
from kerasrnn.command_line import program

_LENGTH = 512
_PROMPT = "the "
_OTHERS = 20
# Of which a median is told.
_LEAST_STREAMS = 32
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
        "rounds",
        3,
        "Turns of each side, at least: as many as make 32 streams.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "fair_rounds", 3, "The same, for fairness.", flag_values=flag_values
    )
    flags.DEFINE_list(
        "backend_calls",
        ["default"],
        "Of the gateway; of several values each has a gateway.",
        flag_values=flag_values,
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
        export = Path(folder, "export")
        served.write_export_aside(export, options.model)
        keys = Path(folder, "keys.json")
        secrets = {
            name: run_command(["add", name], keys, Limits(), None)
            for name in [_GREEDY, *map(str, range(_OTHERS))]
        }
        with contextlib.ExitStack() as stack:
            _, target = stack.enter_context(served.local_server(export))
            ports = {
                calls: stack.enter_context(_gateway(target, calls, keys))
                for calls in options.backend_calls
            }
            proxy = stack.enter_context(reverse_proxy(target))
            asyncio.run(_measure(target, proxy, ports, secrets, options))
    return 0


@contextlib.contextmanager
def _gateway(target, backend_calls, keys):
    """Yields the port of a gateway in a process of its own."""
    command = [
        *(sys.executable, "-m", "kerasrnn_serving.programs.gateway"),
        *(f"--server={target}", "--port=0", f"--keys={keys}"),
    ]
    if backend_calls != "default":
        command.append(f"--backend_calls={backend_calls}")
    process = subprocess.Popen(
        command,
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


async def _measure(target, proxy, ports, secrets, options):
    with contextlib.ExitStack() as stack:
        gateways = {
            calls: stack.enter_context(contextlib.closing(GatewayStreams(port)))
            for calls, port in ports.items()
        }
        await _compare(target, proxy, gateways, secrets[_GREEDY], options)
        for calls, gateway in gateways.items():
            print(f"{calls} backend calls:", flush=True)
            await _fairness(gateway, secrets, options)


async def _compare(target, proxy, gateways, key, options):
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncClient(target))
        sides = {"client": functools.partial(_stream_by_client, client)}
        if proxy:
            client = await stack.enter_async_context(AsyncClient(proxy))
            sides["client through nginx"] = functools.partial(
                _stream_by_client, client
            )
        for calls, gateway in gateways.items():
            sides[f"gateway, {calls} backend calls"] = functools.partial(
                gateway.stream, key, _PROMPT, _LENGTH
            )
        for streams in map(int, options.streams):
            times = {name: [] for name in sides}
            errors = dict.fromkeys(sides, 0)
            rounds = max(options.rounds, _LEAST_STREAMS // streams)
            for name in list(sides) * (rounds + 1):
                results = await asyncio.gather(
                    *map(sides[name], range(streams)), return_exceptions=True
                )
                failed = [r for r in results if isinstance(r, BaseException)]
                errors[name] += len(failed)
                times[name].append([r for r in results if r not in failed])
            for name in sides:
                # The first round of each warms up.
                _print_times(name, streams, times[name][1:], errors[name])


async def _stream_by_client(client, seed):
    """Returns (seconds to the first character, seconds per character)."""
    began, characters = time.perf_counter(), 0
    async for chunk in client.stream(_PROMPT, length=_LENGTH, seed=seed):
        if not characters:
            first, begin = time.perf_counter(), chunk.length
        characters += chunk.length
    last = time.perf_counter()
    return first - began, (last - first) / (characters - begin)


def _print_times(name, streams, rounds, errors):
    first, each = zip(*(pair for one in rounds for pair in one), strict=True)
    print(
        f"{streams:4} streams, {name:30}: first character after "
        f"{1e3 * statistics.median(first):8.2f} ms, then "
        f"{1e6 * statistics.median(each):8.1f} us per character, "
        f"{errors} errors",
        flush=True,
    )


async def _fairness(gateway, secrets, options):
    chance = random.Random(0)

    async def others():
        """Returns the seconds to the first character of those that ask."""
        times = []

        async def ask(name):
            for seed in range(3):
                await asyncio.sleep(chance.uniform(0, 4))
                first, _ = await gateway.stream(secrets[name], _PROMPT, 8, seed)
                times.append(first)

        await asyncio.gather(*(ask(str(name)) for name in range(_OTHERS)))
        return times

    async def endless(seed):
        while True:
            await gateway.stream(secrets[_GREEDY], _PROMPT, 16384, seed)

    alone, beside = [], []
    for _ in range(options.fair_rounds):
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
