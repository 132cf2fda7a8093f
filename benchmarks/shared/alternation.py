"""Sides of a comparison, each in a process of its own, that take turns.

A side is a function without arguments that makes one step. The program that
compares starts itself once more for each side, with `--worker=SIDE`, and lets
one side run at a time: the others are stopped, so that no thread of theirs
spins meanwhile. What changes the machine's speed meets all sides alike.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # Where PyTorch or JAX alone is installed, it is not.
    from absl import flags


def this_program() -> list[str]:
    """Returns the arguments of Python that start this program again."""
    return ["-m", sys.modules["__main__"].__spec__.name]


def define_worker(flag_values: "flags.FlagValues") -> None:
    """Defines the flag by which a program starts itself as one side."""
    from absl import flags

    flags.DEFINE_string(
        "worker", "", "Internal: be this side.", flag_values=flag_values
    )


class SideFailed(SystemExit):
    """A side has ended before it answered; ends the program, unless caught."""


class Worker:
    """A side's process.

    Args:
        arguments: Those of Python: `this_program()`, and its flags.
        environment: Variables beyond those of this process.
    """

    def __init__(self, arguments: Sequence[str], environment=None):
        self._errors = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                **(environment or {}),
            },
            text=True,
        )
        self._arguments = arguments

    def turn(self, steps: int) -> float:
        """Lets the side make some steps; returns its seconds a step.

        Raises:
            SideFailed: It has ended.
        """
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(f"{steps}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the empty answer tells
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines() or ["nothing said"]
            raise SideFailed(f"{' '.join(self._arguments)}: {said[-1]}")
        self._process.send_signal(signal.SIGSTOP)
        return float(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def serve_turns(step: Callable[[], object]) -> None:
    """Is a worker: makes as many steps as each line of the input says."""
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        for _ in range(count):
            step()
        print((time.perf_counter() - start) / count, flush=True)


def alternate(
    workers: dict[str, Worker],
    rounds: int,
    steps: int = 0,
    seconds: float = 0.5,
    optional: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Lets sides take turns.

    Args:
        workers: The sides by name; they are closed at the end.
        rounds: Turns of each.
        steps: Steps a turn; 0 is as many as take the first side `seconds`.
        seconds: See `steps`.
        optional: Sides that are left out where they fail: a peer may lack what
            is compared on this processor.

    Returns:
        Seconds a step by side, arrays [rounds].

    Raises:
        SideFailed: Another side has failed.
    """
    taken: dict[str, list[float]] = {}
    try:
        for name, worker in workers.items():
            try:
                worker.turn(2)  # compiles and warms up
                taken[name] = []
            except SideFailed as failure:
                if name not in optional:
                    raise
                print(f"{name} is left out: {failure}", flush=True)
        if not steps:
            first = workers[next(iter(taken))]
            steps = max(1, round(seconds / first.turn(2)))
        for _ in range(rounds):
            for name, values in taken.items():
                values.append(workers[name].turn(steps))
    finally:
        for worker in workers.values():
            worker.close()
    return {name: np.array(values) for name, values in taken.items()}


def timed(step: Callable[[], object], steps: int, warmup: int = 5):
    """Returns the seconds of each of some steps, after others."""
    seconds = []
    for _ in range(warmup + steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return np.array(seconds[warmup:])


def milliseconds(seconds: np.ndarray) -> str:
    """What a step takes, with its spread."""
    low, middle, high = np.percentile(seconds * 1e3, [25, 50, 75])
    return f"{middle:.3f} ms a step (quartiles {low:.3f} to {high:.3f})"


def ratio(peer: np.ndarray, ours: np.ndarray) -> str:
    """How many times as fast ours is, with its spread over the rounds."""
    low, middle, high = np.percentile(peer / ours, [25, 50, 75])
    return f"{middle:.2f} (quartiles {low:.2f} to {high:.2f})"


def is_installed(module: str) -> bool:
    """Whether a Python module can be imported; if not, says so."""
    found = subprocess.run(
        [sys.executable, "-c", f"import {module}"], capture_output=True
    )
    if found.returncode:
        print(f"{module} is not installed: its side is left out")
    return found.returncode == 0
