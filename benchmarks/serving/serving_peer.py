"""A served model, and the same functions called without the server.

The process that this is has the local server over an export. Its threads also
call the functions that the server has loaded ("in process"), and so does a gRPC
server in it that reads no message and answers with as many bytes as ours ("bare
gRPC"): what a call costs there and not in process is gRPC's in Python. Its
method "echo" does not call them either. They must be loaded once: of two
models loaded alike, in two processes, one may be a fifth slower than the other.
"""

import contextlib
import functools
import json
import subprocess
import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
from kerasrnn_serving.server import local_server

from kerasrnn.contract import signatures

LENGTH = 64
_THREADS = 64
ECHO = "/bare/echo"
GENERATE = "/bare/generate"


class Peer:
    """The process, seen from the benchmark.

    Attributes:
        target: Address of the local server.
        bare_target: Address of the gRPC server that does nothing else.
    """

    def __init__(self, process, target, bare_target):
        self._process = process
        self.target = target
        self.bare_target = bare_target

    def turn(self, clients: int, rows: int, seconds: float):
        """Calls in process; returns what `calls_in_turn` returns."""
        print(json.dumps([clients, rows, seconds]), file=self._process.stdin)
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def started(export_dir):
    """Yields the `Peer` over a directory of versions."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(export_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        ports = json.loads(process.stdout.readline())
        yield Peer(process, *(f"127.0.0.1:{port}" for port in ports))
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def calls_in_turn(one_call, clients: int, seconds: float):
    """Has threads call `one_call(seed, last result)` again and again.

    Returns:
        (seconds of each call, seconds in all).
    """
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


def characters_per_second(turn, rows: int) -> float:
    """Returns the rate of what `calls_in_turn` returned."""
    times, seconds = turn
    return len(times) * rows * LENGTH / seconds


def inputs_of(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Returns the inputs of `generate`, by name, with a seed for each row."""
    values = {
        entry.name: np.full(rows, entry.default or "", object)
        if entry.dtype == "string"
        else np.full(rows, entry.default, entry.dtype)
        for entry in signatures.GENERATE.inputs
    }
    values["length"][:] = LENGTH
    values["seed"][:] = range(seed, seed + rows)
    return values


class _Model:
    """What the server has loaded, called in process."""

    def __init__(self, servable):
        self._servable = servable

    def generate(self, rows, seed, state):
        """Returns the tokens after 64 characters more, read as text."""
        values = inputs_of(rows, seed)
        if state is not None:
            values["state_bytes"] = state
        outputs = self._servable.compute(signatures.GENERATE.name, values)
        for text in outputs["text"]:
            text.decode()
        return outputs["state_bytes"]


class _Bare(grpc.GenericRpcHandler):
    """Answers with as many bytes as the request's first four say."""

    def __init__(self, model):
        self._model = model
        self._state = None

    def service(self, handler_call_details):
        function = {ECHO: self._echo, GENERATE: self._generate}
        return grpc.unary_unary_rpc_method_handler(
            function[handler_call_details.method]
        )

    def _echo(self, request, context):
        return bytes(int.from_bytes(request[:4], "little"))

    def _generate(self, request, context):
        self._state = self._model.generate(1, 0, self._state)
        return self._echo(request, context)


def main(export_dir):
    """Is the process: a line of standard input for each turn."""
    versions = local_server.open_versions("kerasrnn", Path(export_dir))
    server = local_server.LocalServer(versions)
    with versions.use() as (_, servable):
        model = _Model(servable)
        bare = grpc.server(futures.ThreadPoolExecutor(_THREADS))
        bare.add_generic_rpc_handlers([_Bare(model)])
        bare_port = bare.add_insecure_port("127.0.0.1:0")
        bare.start()
        port = server.start("127.0.0.1", 0)
        print(json.dumps([port, bare_port]), flush=True)
        for line in sys.stdin:
            clients, rows, seconds = json.loads(line)
            one_call = functools.partial(model.generate, rows)
            turn = calls_in_turn(one_call, clients, seconds)
            print(json.dumps(turn), flush=True)
        bare.stop(0).wait()
    server.stop(0)


if __name__ == "__main__":
    main(sys.argv[1])
