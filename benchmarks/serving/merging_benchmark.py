"""What does merging cost a client that is alone, and what does it give many?

    python -m benchmarks.serving.merging_benchmark --models=2x128

First, in one process, the same call of one row of 64 characters, again and
again: straight into the loaded model, and by way of what merges, in turns. Of
two servers alike, one may be a fifth slower than the other, which would hide
the difference. Then 1, 8 and 32 clients in processes of their own, each with
one row a call: a server that merges beside one with --max_batch_size=1, in
turns.
"""

import contextlib
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags
from kerasrnn_serving.client import Client

from benchmarks.serving import serving_peer
from benchmarks.serving.client_processes import served_turn
from benchmarks.serving.client_processes import turns_from
from benchmarks.shared import served
from kerasrnn.command_line import program
from kerasrnn.contract import signatures

_CLIENTS = (1, 8, 32)


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_list(
        "models",
        ["2x128"],
        "Layers x units of the LSTMs of random weights to serve.",
        flag_values=flag_values,
    )
    for name, default, text in (
        ("calls", 1000, "Calls of either side in one process."),
        ("client_processes", 4, "Processes of clients."),
        ("rounds", 5, "Turns of each server."),
    ):
        flags.DEFINE_integer(
            name, default, text, lower_bound=1, flag_values=flag_values
        )
    flags.DEFINE_float(
        "seconds", 1.0, "Seconds of a turn.", flag_values=flag_values
    )


def main(argv) -> int:
    """Measures each model; returns the exit status."""
    del argv
    options = flags.FLAGS
    for model in options.models:
        with tempfile.TemporaryDirectory() as directory:
            served.write_export_aside(directory, model)
            print(f"{model}, {serving_peer.LENGTH} characters a call")
            _measure_alone(directory, options.calls)
            _measure_servers(directory, options)
    return 0


def _measure_alone(directory, calls):
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        direct, merged = pool.apply(time_calls, [directory, calls])
    lost = 1e6 * (merged - direct)
    low, middle, high = np.percentile(lost, [25, 50, 75])
    whole = 1e6 * np.median(direct)
    print(
        f"  alone, in one process: {whole:,.0f} us a call, {middle:+.0f} us "
        f"merged (quartiles {low:+.0f} to {high:+.0f}), {middle / whole:+.2%}",
        flush=True,
    )


def time_calls(directory: str, calls: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the seconds of calls made straight and through a batcher."""
    from kerasrnn_serving.server import servable
    from kerasrnn_serving.server.batching import BatcherBySize
    from kerasrnn_serving.server.limits import Batching
    from kerasrnn_serving.server.work import Call

    (version,) = Path(directory).glob("[0-9]*")
    model = servable.Servable(version, batching=Batching(max_batch_size=1))
    inputs = serving_peer.inputs_of(rows=1, seed=0)

    def function(arrays, manager):
        del manager
        named = dict(zip(inputs, arrays, strict=True))
        outputs = model.compute(signatures.GENERATE.name, named)
        return list(outputs.values())

    batcher = BatcherBySize(function, servable.CancellationManager, Batching())
    arrays = list(inputs.values())
    sides = (
        lambda: function(arrays, None),
        lambda: batcher(arrays, Call(), (6,)),
    )
    seconds = np.zeros([calls, 2])
    for index, own in enumerate(seconds):
        # What comes second may find more in the caches.
        for side in (0, 1) if index % 2 else (1, 0):
            own[side] = _seconds(sides[side])
    return tuple(seconds[calls // 10 :].T)


def _seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _measure_servers(directory, options):
    with contextlib.ExitStack() as stack:
        targets = [
            stack.enter_context(served.local_server(directory, *flag))[1]
            for flag in ((), ("--max_batch_size=1",))
        ]
        turn = stack.enter_context(
            turns_from(options.client_processes, connect, tuple(targets))
        )
        print("  characters/s of a server that merges and of one that does not")
        for clients in _CLIENTS:
            rates = {"merged": [], "alone": []}
            for side in rates:
                turn(side, clients, 1, options.seconds / 4)  # warms up
            for _ in range(options.rounds):
                for side, own in rates.items():
                    result = turn(side, clients, 1, options.seconds)
                    own.append(serving_peer.characters_per_second(result, 1))
            merged, alone = map(np.array, rates.values())
            low, middle, high = np.percentile(merged / alone, [25, 50, 75])
            print(
                f"  {clients:2d} clients: {np.median(merged):9,.0f} and "
                f"{np.median(alone):9,.0f}, ratio {middle:.2f} (quartiles "
                f"{low:.2f} to {high:.2f})",
                flush=True,
            )


def connect(merged: str, alone: str):
    """Returns the turns of a process of clients, by server."""
    return {
        side: served_turn(Client(target, timeout=300))
        for side, target in (("merged", merged), ("alone", alone))
    }


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
