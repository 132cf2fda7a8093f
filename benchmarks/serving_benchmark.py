"""What does it cost to be served? Against the same model called in process.

    python benchmarks/serving_benchmark.py --models=2x128,3x512

For 1, 8 and 32 clients, each with one row of 64 characters a call that goes
on from the last one's token, and for one client with 32 rows a call:
characters a second, and the median and 99th percentile of a call's time. The
peer is the exported model in a session of this kind of process, called with
the same inputs by as many threads. Server and peer are processes of their
own and take turns; the clients are threads of the benchmark. With --target,
a server that runs already is measured, such as TensorFlow Serving over
--export_dir, with whatever flags it was given.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import served
from absl import flags
from kerasrnn_export import signatures
from kerasrnn_serving.client import Client

from kerasrnn import program

_LENGTH = 64
# (clients, rows a call)
_CASES = ((1, 1), (8, 1), (32, 1), (1, 32))
_LIMIT_PERCENT = 10


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_list(
        "models",
        ["2x128", "3x512"],
        "Layers x units of the LSTMs of random weights to serve.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "export_dir",
        None,
        "Serve the newest version here, not a model of random weights.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "target",
        None,
        "Measure this server, which serves --export_dir.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "rounds", 5, "Turns of each side.", flag_values=flag_values
    )
    flags.DEFINE_float(
        "seconds", 1.0, "Seconds of a turn.", flag_values=flag_values
    )
    flags.DEFINE_string(
        "worker",
        None,
        "Used by the benchmark itself: be the peer over this version.",
        flag_values=flag_values,
    )


def main(argv) -> int:
    """Measures each model; returns the exit status."""
    del argv
    options = flags.FLAGS
    if options.worker:
        return _be_the_peer(options.worker)
    if options.export_dir:
        _measure(options, options.export_dir, options.export_dir)
        return 0
    for model in options.models:
        layers, units = map(int, model.split("x"))
        with tempfile.TemporaryDirectory() as directory:
            served.write_export_aside(directory, layers, units)
            _measure(options, directory, model)
    return 0


def _measure(options, export_dir, name):
    newest = max(
        (path for path in Path(export_dir).iterdir() if path.name.isdigit()),
        key=lambda path: int(path.name),
    )
    with contextlib.ExitStack() as stack:
        target = options.target
        if target is None:
            _, target = stack.enter_context(served.local_server(export_dir))
        client = stack.enter_context(Client(target, timeout=300))
        peer = stack.enter_context(_peer(newest))
        print(
            f"{name}, {_LENGTH} characters a call, {options.rounds} rounds of "
            f"{options.seconds:g} s; in process | served, and a served call"
        )
        for case in _CASES:
            sides = {"peer": peer, "served": _served(client)}
            results = {side: [] for side in sides}
            for call in sides.values():
                call(*case, options.seconds / 4)  # warms up
            for _ in range(options.rounds):
                for side, call in sides.items():
                    results[side].append(call(*case, options.seconds))
            _report(case, results)


def _report(case, results):
    clients, rows = case
    rates = {
        side: np.array([_rate(times, seconds, rows) for times, seconds in runs])
        for side, runs in results.items()
    }
    times = np.concatenate([times for times, _ in results["served"]]) * 1000
    ratio = np.median(rates["served"] / rates["peer"])
    print(
        f"  {clients:2d} clients x {rows:2d} rows: "
        f"{np.median(rates['peer']):9,.0f} | "
        f"{np.median(rates['served']):9,.0f} characters/s ({ratio:.2f}), "
        f"p50 {np.percentile(times, 50):8.1f} ms, "
        f"p99 {np.percentile(times, 99):8.1f} ms"
    )
    if case == (1, 1):
        cost = [
            100 * (1 - own / peer)
            for own, peer in zip(rates["served"], rates["peer"], strict=True)
        ]
        low, middle, high = np.percentile(cost, [25, 50, 75])
        print(
            f"  the wire and the server cost {middle:.1f} % (quartiles "
            f"{low:.1f} to {high:.1f}; wanted: at most {_LIMIT_PERCENT})"
        )


def _rate(times, seconds, rows):
    return len(times) * rows * _LENGTH / seconds


def _turn(one_call, clients, seconds):
    """Returns (seconds of each call, seconds in all) of some threads."""
    times, end = [], time.perf_counter() + seconds

    def work(seed):
        state, own = None, []
        while time.perf_counter() < end:
            begin = time.perf_counter()
            state = one_call(seed, state)
            own.append(time.perf_counter() - begin)
        times.extend(own)

    begin = time.perf_counter()
    threads = [
        threading.Thread(target=work, args=[seed]) for seed in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - begin


def _served(client):
    def turn(clients, rows, seconds):
        def one_call(seed, state):
            results = client.generate(
                [""] * rows,
                length=_LENGTH,
                seed=range(seed, seed + rows),
                state_bytes=state or b"",
            )
            return [result.state_bytes for result in results]

        return _turn(one_call, clients, seconds)

    return turn


@contextlib.contextmanager
def _peer(version):
    """Yields a function that has the peer's process take its turn."""
    process = subprocess.Popen(
        [sys.executable, __file__, f"--worker={version}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def turn(*arguments):
        print(json.dumps(arguments), file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    try:
        yield turn
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _be_the_peer(version):
    import tensorflow as tf

    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        graph = tf.compat.v1.saved_model.load(session, ["serve"], version)
    signature = graph.signature_def[signatures.GENERATE.name]
    fetches = {name: info.name for name, info in signature.outputs.items()}
    feeds = {name: info.name for name, info in signature.inputs.items()}

    def turn(clients, rows, seconds):
        def one_call(seed, state):
            values = {
                entry.name: np.full(rows, entry.default or "", object)
                if entry.dtype == "string"
                else np.full(rows, entry.default, entry.dtype)
                for entry in signatures.GENERATE.inputs
            }
            values["length"][:] = _LENGTH
            values["seed"][:] = range(seed, seed + rows)
            if state is not None:
                values["state_bytes"] = state
            return session.run(
                fetches, {feeds[name]: v for name, v in values.items()}
            )["state_bytes"]

        return _turn(one_call, clients, seconds)

    for line in sys.stdin:
        print(json.dumps(turn(*json.loads(line))), flush=True)
    return 0


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
