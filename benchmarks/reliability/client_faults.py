"""Does the client keep its deadline and its temper when a server fails?

    python -m benchmarks.reliability.client_faults --faults=100

Between runs of good calls, one call at a time meets a fault: three answers of
UNAVAILABLE, a reply that is reset or breaks off, one that stalls, one that
drips, a server that restarts, one that takes more than half of the call's
time. Every such call must succeed within its deadline, and the last kind be
asked once. Then 32 callers of a server with 8 threads: none may fail, nor take
more than 1.2 attempts a call. Then a server that never answers: every call
must end at most 50 ms after its deadline. Then one that always says
UNAVAILABLE: at most 1.2 attempts a call. Fails if one of these is not so; for
both clients.
"""

import pathlib
import sys
import tempfile
import threading
import time
from concurrent import futures

import grpc
from absl import flags
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.server.rpc import StatusError

from kerasrnn.command_line import program

# The servers that fail are those of the tests.
sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2] / "tests"))

from helpers.servers.clients import AsyncInThread  # noqa: E402
from helpers.servers.fake_servable import FakeServer  # noqa: E402
from helpers.servers.fake_servable import expected  # noqa: E402
from helpers.servers.faulty_server import FewThreads  # noqa: E402
from helpers.servers.faulty_server import Proxy  # noqa: E402

_OVERSHOOT_MILLISECONDS = 50
_ATTEMPTS = 1.2
_CALLERS = 32
_THREADS = 8
# Retries are paid for from a budget that successes fill.
_GOOD_CALLS = 30
_DEADLINES = {
    "unavailable": 5.0,
    "reset": 5.0,
    "close": 5.0,
    "stall": 1.0,
    "drip": 1.0,
    "restart": 5.0,
    "slow": 3.0,
}
_CASES = (*_DEADLINES, "crowd", "silence", "down")


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_integer(
        "faults",
        100,
        "How often each fault is met.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_multi_enum(
        "case",
        _CASES,
        _CASES,
        "What to try; may be given several times.",
        flag_values=flag_values,
    )


def main(argv) -> int:
    """Tries both clients; returns the exit status."""
    del argv
    count = flags.FLAGS.faults
    failed = False
    for client_class in (Client, AsyncInThread):
        name = "threads" if client_class is Client else "event loop"
        for case in flags.FLAGS.case:
            if case in _DEADLINES:
                failed |= _meet(name, client_class, case, count)
            elif case == "crowd":
                failed |= _crowd(name, client_class, count)
            elif case == "silence":
                failed |= _wait_for_nothing(name, client_class, count)
            else:
                failed |= _ask_in_vain(name, client_class)
    if failed:
        print("FAILED")
    return int(failed)


class Setting:
    """A server, and a way to it that can fail."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory()
        self._path = pathlib.Path(self._directory.name)
        self._runs = 0
        self.server = self._serve(0)
        self.proxy = Proxy(self.server.port)

    def _serve(self, port):
        self._runs += 1
        directory = self._path / str(self._runs)
        directory.mkdir()
        return FakeServer(directory, port=port)

    @property
    def servable(self):
        """The version that answers."""
        return self.server.loaded[1]

    def restart(self):
        """Stops the server, and starts it again at the same port."""
        port = self.server.port
        self.server.stop()
        self.server = self._serve(port)

    def say_unavailable(self, times):
        """Refuses the next calls; returns the list of all that come."""
        servable, calls = self.servable, []
        predict = servable.predict

        def answer(request, timeout):
            calls.append(request)
            if len(calls) <= times:
                raise StatusError(grpc.StatusCode.UNAVAILABLE, "not now")
            return predict(request, timeout)

        servable.predict = answer
        return calls

    def be_slow(self, seconds):
        """Has the next call take so long; returns the list of all like it."""
        servable, calls = self.servable, []
        predict = servable.predict

        def answer(request, timeout):
            calls.append(request)
            time.sleep(seconds)
            servable.predict = predict
            return predict(request, timeout)

        servable.predict = answer
        return calls

    def close(self):
        """Ends both."""
        self.proxy.close()
        self.server.stop()
        self._directory.cleanup()


def _meet(name, client_class, fault, count):
    deadline = _DEADLINES[fault]
    setting, late, lost, slow = Setting(), [], 0, []
    with client_class(setting.proxy.target, timeout=deadline) as client:
        for index in range(count):
            for _ in range(_GOOD_CALLS):
                _ask(client, index)
            if fault == "unavailable":
                setting.say_unavailable(3)
            elif fault == "restart":
                setting.restart()
            elif fault == "slow":
                slow.append(setting.be_slow(0.6 * deadline))
            else:
                setting.proxy.fail_next_reply(fault, after=index % 200)
            begin = time.perf_counter()
            try:
                _ask(client, index)
            except ServingError as error:
                print(f"    {error}")
                lost += 1
            late.append(time.perf_counter() - begin - deadline)
    setting.close()
    overshoot = 1000 * max(max(late), 0)
    print(
        f"  {name}: {fault}: {count - lost} of {count} calls succeeded within "
        f"{deadline:g} s, overshoot {overshoot:.0f} ms"
    )
    if any(len(calls) != 1 for calls in slow):
        print("    of those some were asked for twice")
        return True
    return bool(lost) or overshoot > _OVERSHOOT_MILLISECONDS


def _crowd(name, client_class, calls):
    setting = Setting()
    with client_class(setting.server.target) as client:
        few = FewThreads(setting.servable, _THREADS, seconds=0.02)

        def work(_):
            failed = 0
            for seed in range(calls):
                try:
                    _ask(client, seed)
                except ServingError as error:
                    print(f"    {error}")
                    failed += 1
            return failed

        with futures.ThreadPoolExecutor(_CALLERS) as pool:
            failed = sum(pool.map(work, range(_CALLERS)))
    setting.close()
    attempts = few.attempts / (calls * _CALLERS)
    print(
        f"  {name}: {_CALLERS} callers, {_THREADS} threads: {failed} of "
        f"{calls * _CALLERS} calls failed, {attempts:.2f} attempts a call"
    )
    return bool(failed) or attempts > _ATTEMPTS


def _ask(client, seed):
    (result,) = client.generate("a", length=30, seed=seed)
    if result.text != expected(1, seed, 30):
        raise RuntimeError(f"a wrong text: {result.text!r}")


def _wait_for_nothing(name, client_class, count):
    setting, release = Setting(), threading.Event()
    deadline, late, answered = 0.2, [], 0
    with client_class(setting.server.target, timeout=deadline) as client:
        client.versions()

        def hold(request, timeout):
            # Until long after the deadline; the server stops by then.
            release.wait(1)
            raise StatusError(grpc.StatusCode.ABORTED, "too late")

        setting.servable.predict = hold
        for _ in range(count):
            begin = time.perf_counter()
            try:
                client.generate("a")
                answered += 1
            except ServingError:
                late.append(time.perf_counter() - begin - deadline)
    release.set()
    setting.close()
    overshoot = 1000 * max(max(late), 0)
    print(
        f"  {name}: no answer: {count} calls ended at most {overshoot:.0f} ms "
        f"after their deadline of {1000 * deadline:g} ms"
    )
    return bool(answered) or overshoot > _OVERSHOOT_MILLISECONDS


def _ask_in_vain(name, client_class, count=100):
    setting = Setting()
    with client_class(setting.server.target) as client:
        calls, failed = setting.say_unavailable(10**9), 0
        for _ in range(count):
            try:
                client.generate("a")
            except ServingError as error:
                failed += error.code == "UNAVAILABLE"
    setting.close()
    attempts = len(calls) / count
    print(
        f"  {name}: down: {failed} of {count} calls said so, "
        f"{attempts:.2f} attempts a call"
    )
    return failed != count or attempts > _ATTEMPTS


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
