"""How fast is a health check answered while the server is busy?

    python -m benchmarks.reliability.health_under_load --clients=32

The local server over a model of random weights: `Health/Check` one after the
other, first while nothing else is asked, then while clients in processes of
their own send long calls without end. By default there are as many calls as
the server takes: it computes on every core, all places are taken, and as many
calls again wait for one. Fails if the 99th percentile is above 100 ms: the
clients share the server's processor, which may leave a check waiting.
"""

import contextlib
import multiprocessing
import tempfile
import time
from concurrent import futures

import grpc
import numpy as np
from absl import flags
from kerasrnn_serving.client import Client

from benchmarks.shared import served
from kerasrnn.command_line import program
from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn.contract import signatures

_LIMIT_MILLISECONDS = 100.0
_PAUSE_SECONDS = 0.01
_TIMEOUT = 300.0


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string(
        "model",
        "2x128",
        "Layers x units of the LSTM of random weights to serve.",
        flag_values=flag_values,
    )
    for name, default, text in (
        ("clients", 32, "Clients, each a process."),
        ("calls", 4, "Calls that each of them has at once."),
        ("rows", 16, "Rows of each call."),
        ("seconds", 30, "Seconds of checks in either state."),
    ):
        flags.DEFINE_integer(
            name, default, text, lower_bound=1, flag_values=flag_values
        )


def main(argv) -> int:
    """Measures; returns the exit status."""
    del argv
    options = flags.FLAGS
    with tempfile.TemporaryDirectory() as directory:
        served.write_export_aside(directory, options.model)
        with (
            served.local_server(directory) as (_, target),
            grpc.insecure_channel(target) as channel,
        ):
            _report("idle", _checks(channel, options.seconds), "")
            with _load(target, options) as answered:
                times = _checks(channel, options.seconds)
                count = answered.value
    state = f"{options.clients} clients with {options.calls} calls each"
    _report(state, times, f"; {count} calls answered meanwhile")
    return int(np.percentile(times, 99) > _LIMIT_MILLISECONDS)


def _checks(channel, seconds):
    """Returns the milliseconds of each check."""
    check = channel.unary_unary(
        api.HEALTH_CHECK,
        messages.HealthCheckRequest.SerializeToString,
        messages.HealthCheckResponse.FromString,
    )
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        response = check(messages.HealthCheckRequest(), timeout=_TIMEOUT)
        times.append(1e3 * (time.perf_counter() - begin))
        if response.status != api.SERVING:
            raise RuntimeError(f"The server says {response.status}.")
        time.sleep(_PAUSE_SECONDS)
    return np.array(times)


@contextlib.contextmanager
def _load(target, options):
    """Yields the number of calls answered, once all clients are there."""
    context = multiprocessing.get_context("spawn")
    answered, started = context.Value("q", 0), context.Semaphore(0)
    arguments = [target, options.calls, options.rows, answered, started]
    clients = [
        context.Process(target=_be_a_client, args=arguments)
        for _ in range(options.clients)
    ]
    for client in clients:
        client.start()
    try:
        for _ in clients:
            if not started.acquire(timeout=_TIMEOUT):
                raise RuntimeError("A client does not start.")
        answered.value = 0
        yield answered
    finally:
        for client in clients:
            client.terminate()
            client.join()


def _be_a_client(target, calls, rows, answered, started):
    with (
        Client(target, timeout=_TIMEOUT) as client,
        futures.ThreadPoolExecutor(calls) as pool,
    ):
        client.versions()

        def call_without_end(_):
            while True:
                client.generate([""] * rows, length=signatures.MAX_LENGTH)
                with answered.get_lock():
                    answered.value += 1

        started.release()
        list(pool.map(call_without_end, range(calls)))


def _report(state, times, more):
    late = np.count_nonzero(times > _LIMIT_MILLISECONDS)
    middle, high = np.percentile(times, [50, 99])
    print(
        f"{state}: {len(times)} checks, median {middle:.1f} ms, 99th "
        f"percentile {high:.1f} ms, longest {times.max():.1f} ms, {late} above "
        f"{_LIMIT_MILLISECONDS:g} ms{more}",
        flush=True,
    )


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
