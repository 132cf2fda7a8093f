"""Does the local server keep its memory under an hour of mixed load?

    python -m benchmarks.reliability.serving_memory --minutes=60

Clients in processes of their own send all there is: texts of one row and of
many, streams, scores, inspections, rows with bad values, unknown models,
wrong types, deadlines that pass, calls that are cancelled, connections that
come and go. A line is fitted to the server's anonymous resident memory
(RssAnon) after the warm-up. Fails if it rises by over 1 MB in 10,000 requests,
beside what TensorFlow itself leaves behind for calls that are interrupted
(`failed_operations`, which is measured first). Linux only.
"""

import multiprocessing
import random
import tempfile
import time

import grpc
import numpy as np
from absl import flags
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError

from benchmarks.reliability.failed_operations import bytes_per_failure
from benchmarks.shared import served
from benchmarks.shared.memory import anonymous_bytes
from kerasrnn.command_line import program
from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn.contract import tensors

_LIMIT_MEGABYTES = 1.0
_PER_REQUESTS = 10_000
_CLIENTS = 4
_SAMPLE_SECONDS = 1.0
# No call is this slow, but the machine may be stopped for a while.
_TIMEOUT = 900.0
# The first part of the time is the warm-up: memory pools grow until then.
_WARM_UP = 0.25


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_float(
        "minutes",
        60.0,
        "How long.",
        lower_bound=0.1,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "units",
        16,
        "Width of the two layers.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "requests_per_second",
        0.0,
        "Send no more than these, to leave the machine to other work; 0 sends "
        "as many as are answered.",
        lower_bound=0.0,
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "interruptions",
        True,
        "Whether the deadlines of some calls pass, and some are cancelled.",
        flag_values=flag_values,
    )


def main(argv) -> int:
    """Loads the server and fits the line; returns the exit status."""
    del argv
    options = flags.FLAGS
    with tempfile.TemporaryDirectory() as directory:
        served.write_export_aside(directory, f"2x{options.units}")
        left_behind = bytes_per_failure() if options.interruptions else 0.0
        with served.local_server(directory) as (process, target):
            samples, share = _load(process.pid, target, options)
    return _report(np.array(samples), share, left_behind)


def _load(pid, target, options):
    """Returns a list of (requests so far, RssAnon in MB), and a share.

    It is the share of requests that were interrupted.
    """
    context = multiprocessing.get_context("spawn")
    count, interrupted = context.Value("q", 0), context.Value("q", 0)
    stop = context.Event()
    rate = options.requests_per_second
    # Between two requests of a client.
    pause = _CLIENTS / rate if rate else 0.0
    work = _WORK + _INTERRUPTED if options.interruptions else _WORK
    clients = [
        context.Process(
            target=_be_a_client,
            args=[target, seed, work, (count, interrupted), stop, pause],
        )
        for seed in range(_CLIENTS)
    ]
    for client in clients:
        client.start()
    begin, samples = time.monotonic(), []
    said, seconds = begin, 60 * options.minutes
    while (passed := time.monotonic() - begin) < seconds:
        stop.wait(_SAMPLE_SECONDS)
        if not all(client.is_alive() for client in clients):
            raise RuntimeError("a client has failed")
        megabytes = anonymous_bytes(pid) / 2**20
        if passed > _WARM_UP * seconds:
            samples.append((count.value, megabytes))
        if time.monotonic() - said > 30:
            said = time.monotonic()
            print(
                f"{passed / 60:6.1f} minutes {count.value:9,} requests "
                f"{megabytes:8.1f} MB",
                flush=True,
            )
    stop.set()
    for client in clients:
        client.join()
    return samples, interrupted.value / count.value


def _report(samples, share, left_behind):
    requests, megabytes = samples.T
    slope = np.polyfit(requests, megabytes, 1)[0] * _PER_REQUESTS
    counted = int(requests[-1] - requests[0])
    print(
        f"{counted:,} requests after the warm-up: {megabytes[0]:.1f} MB to "
        f"{megabytes[-1]:.1f} MB, {slope:+.3f} MB in {_PER_REQUESTS:,} requests"
    )
    own = _PER_REQUESTS * share * left_behind / 2**20
    limit = _LIMIT_MEGABYTES + own
    if share:
        print(
            f"{share:.1%} were interrupted, for which TensorFlow leaves up "
            f"to {own:.3f} MB ({left_behind:.0f} bytes each)."
        )
    print(f"At most {limit:.3f} MB are allowed.")
    if slope > limit:
        print("FAILED: the server's memory grows.")
        return 1
    return 0


def _be_a_client(target, seed, work, counts, stop, pause):
    count, interrupted = counts
    chance, due = random.Random(seed), time.monotonic()
    while not stop.is_set():
        # Connections come and go.
        with Client(target, timeout=_TIMEOUT) as client:
            with grpc.insecure_channel(target) as channel:
                for _ in range(200):
                    if stop.is_set():
                        return
                    one = chance.choice(work)
                    calls = one(chance, client, channel)
                    with count.get_lock():
                        count.value += calls
                        interrupted.value += one in _INTERRUPTED
                    due = max(due + calls * pause, time.monotonic() - pause)
                    stop.wait(max(0.0, due - time.monotonic()))


def _text(chance, longest):
    return "".join(chance.choices("abc ?é🙂", k=chance.randrange(longest)))


def _generate(chance, client, channel):
    rows = chance.choice((1, 1, 2, 8, 32))
    client.generate(
        [_text(chance, 50) for _ in range(rows)],
        length=[chance.randrange(60) for _ in range(rows)],
        temperature=[chance.random() for _ in range(rows)],
        stop=[_text(chance, 4) for _ in range(rows)],
    )
    return 1


def _stream(chance, client, channel):
    return len(list(client.stream(_text(chance, 50), length=100, chunk=20)))


def _score(chance, client, channel):
    client.score([_text(chance, 500) for _ in range(chance.choice((1, 4)))])
    return 1


def _inspect(chance, client, channel):
    client.inspect(_text(chance, 100))
    return 1


def _refused_rows(chance, client, channel):
    try:
        client.generate(["a", "b"], temperature=[-1, 1], length=5)
    except ServingError:
        return 1
    raise RuntimeError("a bad row was not refused")


def _status(chance, client, channel):
    client.versions()
    return 1


def _request(model, inputs):
    request = messages.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "generate"
    for name, (values, dtype) in inputs.items():
        tensors.fill_tensor(request.inputs[name], values, dtype)
    return request


def _fail(channel, request, code, timeout=_TIMEOUT):
    try:
        _predict(channel)(request, timeout=timeout)
    except grpc.RpcError as error:
        if error.code() == code:
            return 1
        raise
    # A deadline may also be met.
    if code != grpc.StatusCode.DEADLINE_EXCEEDED:
        raise RuntimeError(f"{code} was expected")
    return 1


def _predict(channel):
    return channel.unary_unary(
        api.PREDICT,
        messages.PredictRequest.SerializeToString,
        messages.PredictResponse.FromString,
    )


def _unknown_model(chance, client, channel):
    request = _request("nobody", {"prompt": ([b"a"], "string")})
    return _fail(channel, request, grpc.StatusCode.NOT_FOUND)


def _wrong_type(chance, client, channel):
    request = _request("kerasrnn", {"prompt": ([1], "int32")})
    return _fail(channel, request, grpc.StatusCode.INVALID_ARGUMENT)


def _late(chance, client, channel):
    request = _request(
        "kerasrnn",
        {"prompt": ([b"a"], "string"), "length": ([512], "int32")},
    )
    late = grpc.StatusCode.DEADLINE_EXCEEDED
    return _fail(channel, request, late, timeout=0.002)


def _cancelled(chance, client, channel):
    request = _request("kerasrnn", {"prompt": ([b"a"], "string")})
    call = _predict(channel).future(request, timeout=_TIMEOUT)
    call.cancel()
    return 1


_WORK = (
    _generate,
    _generate,
    _stream,
    _score,
    _inspect,
    _refused_rows,
    _unknown_model,
    _wrong_type,
    _status,
)
_INTERRUPTED = (_late, _cancelled)


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
