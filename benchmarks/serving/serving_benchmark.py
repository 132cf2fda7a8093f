"""What does it cost to be served? Against the same model called in process.

    python -m benchmarks.serving.serving_benchmark --models=2x128,3x512

For 1, 8 and 32 clients, each with one row of 64 characters a call that goes
on from the last one's token, and for one client with 32 rows a call:
characters a second, and the median and 99th percentile of a call's time. The
peer is what the local server has loaded, called in its process with the same
inputs by as many threads; for one client also by a gRPC server in Python that
does nothing else. Beside clients with one row, a gRPC server in Python echoes
messages of the same sizes to as many. They take turns; the clients are threads
of this process, which Python lets work one at a time: with
--client_processes=N they are spread over N processes of their own. With
--target, a server that runs already is measured, such as TensorFlow Serving
over --export_dir, with whatever flags it was given.
"""

import contextlib
import functools
import tempfile

import grpc
import numpy as np
from absl import flags
from kerasrnn_serving.client import Client

from benchmarks.serving import serving_peer
from benchmarks.serving.client_processes import served_turn
from benchmarks.serving.client_processes import turns_from
from benchmarks.shared import served
from kerasrnn.command_line import program
from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn.contract import signatures
from kerasrnn.contract import tensors

# (clients, rows a call)
_ONE = (1, 1)
_CASES = (_ONE, (8, 1), (32, 1), (1, 32))
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
        "client_processes",
        0,
        "Processes for the server's clients, each with a client and threads; "
        "0 has them all in this process.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "rounds", 5, "Turns of each side.", flag_values=flag_values
    )
    flags.DEFINE_float(
        "seconds", 1.0, "Seconds of a turn.", flag_values=flag_values
    )


def main(argv) -> int:
    """Measures each model; returns the exit status."""
    del argv
    options = flags.FLAGS
    if options.export_dir:
        _measure(options, options.export_dir, options.export_dir)
        return 0
    for model in options.models:
        with tempfile.TemporaryDirectory() as directory:
            served.write_export_aside(directory, model)
            _measure(options, directory, model)
    return 0


def _measure(options, export_dir, name):
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(serving_peer.started(export_dir))
        target = options.target or peer.target
        client = stack.enter_context(Client(target, timeout=300))
        channel = stack.enter_context(grpc.insecure_channel(peer.bare_target))
        sizes = _message_sizes(client, target)
        turns = {
            "served": served_turn(client),
            "echo": _bare(channel, serving_peer.ECHO, sizes),
        }
        if options.client_processes:
            turn = stack.enter_context(
                turns_from(
                    options.client_processes,
                    _connect,
                    (target, peer.bare_target, sizes),
                )
            )
            turns = {side: functools.partial(turn, side) for side in turns}
        print(
            f"{name}, {serving_peer.LENGTH} characters a call, "
            f"{options.rounds} rounds of {options.seconds:g} s; in process | "
            "served, and a served call"
        )
        for case in _CASES:
            # The cost is of a server in the process of its peer.
            has_cost = case == _ONE and not options.target
            sides = {"peer": peer.turn, "served": turns["served"]}
            if case[1] == 1:
                sides["echo"] = turns["echo"]
            if has_cost:
                sides["bare"] = _bare(channel, serving_peer.GENERATE, sizes)
            results = {side: [] for side in sides}
            for call in sides.values():
                call(*case, options.seconds / 4)  # warms up
            for _ in range(options.rounds):
                for side, call in sides.items():
                    results[side].append(call(*case, options.seconds))
            _report(case, results)
            if has_cost:
                _report_costs(results)
            if "echo" in results:
                _report_echo(results, sizes)


def _report(case, results):
    clients, rows = case
    rates = {
        side: np.array(
            [serving_peer.characters_per_second(turn, rows) for turn in runs]
        )
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


def _report_costs(results):
    """Says what is lost to gRPC, and what to all that serves."""
    seconds = {
        side: np.array([seconds / len(times) for times, seconds in runs])
        for side, runs in results.items()
    }
    for side, what, wanted in (
        ("served", "the wire and the server", f"; wanted: {_LIMIT_PERCENT}"),
        ("bare", "of that, gRPC around the same model", ""),
    ):
        lost = seconds[side] - seconds["peer"]
        low, middle, high = np.percentile(
            100 * lost / seconds[side], [25, 50, 75]
        )
        print(
            f"    {what}: {middle:.1f} % (quartiles {low:.1f} to "
            f"{high:.1f}{wanted}), {1000 * np.median(lost):.2f} ms a call"
        )


def _report_echo(results, sizes):
    """Says what gRPC can do at most, and what that is of a served call."""
    rates = {
        side: np.array([len(times) / seconds for times, seconds in runs])
        for side, runs in results.items()
    }
    echo, ours = np.median(rates["echo"]), np.median(rates["served"])
    print(
        f"    gRPC alone, an echo of {sizes[0]:,} and {sizes[1]:,} bytes: "
        f"{echo:,.0f} calls/s, {1000 / echo:.2f} ms each; served are "
        f"{ours:,.0f}, so it takes {ours / echo:.0%} of their time"
    )


def _connect(target, bare_target, sizes):
    """Makes the turns of a process of clients."""
    channel = grpc.insecure_channel(bare_target)
    return {
        "served": served_turn(Client(target, timeout=300)),
        "echo": _bare(channel, serving_peer.ECHO, sizes),
    }


def _bare(channel, method, sizes):
    """Calls a gRPC server that reads nothing; `sizes` are of its messages."""
    request_bytes, reply_bytes = sizes
    request = reply_bytes.to_bytes(4, "little").ljust(request_bytes, b"\0")
    call = channel.unary_unary(method)

    def turn(clients, rows, seconds):
        del rows
        return serving_peer.calls_in_turn(
            lambda seed, state: call(request, timeout=300), clients, seconds
        )

    return turn


def _message_sizes(client, target):
    """Returns the bytes of a request for one row, and of its reply."""
    (result,) = client.generate("", length=serving_peer.LENGTH)
    request = messages.PredictRequest()
    request.model_spec.name = "kerasrnn"
    request.model_spec.signature_name = signatures.GENERATE.name
    given = {
        "prompt": b"",
        "length": serving_peer.LENGTH,
        "state_bytes": result.state_bytes,
    }
    for entry in signatures.GENERATE.inputs:
        value = given.get(entry.name, entry.default)
        if isinstance(value, str):
            value = value.encode()
        tensors.fill_tensor(request.inputs[entry.name], [value], entry.dtype)
    content = request.SerializeToString()
    with grpc.insecure_channel(target) as channel:
        reply = channel.unary_unary(api.PREDICT)(content, timeout=300)
    return len(content), len(reply)


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
