"""How soon the light client is there: its help and its import.

    python -m benchmarks.serving.startup_benchmark

Each is a process of its own; the medians of its time and of its processor
time are printed, which differ where the machine has other work. Wanted are
0.3 seconds. `python` alone, and NumPy and gRPC, which the client needs, are
beside them.
"""

import resource
import subprocess
import sys
import time

import numpy as np
from absl import flags

from kerasrnn.command_line import program

_WANTED_SECONDS = 0.3
_COMMANDS = {
    "kerasrnn-query --help": [
        "-m",
        "kerasrnn_serving.programs.query",
        "--help",
    ],
    "import the client": ["-c", "import kerasrnn_serving.client"],
    "import numpy, grpc": ["-c", "import numpy, grpc"],
    "python alone": ["-c", ""],
}


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer(
        "rounds", 15, "Turns of each.", flag_values=flag_values
    )


def main(argv) -> int:
    """Times each in turn; returns the exit status."""
    del argv
    seconds = {name: [] for name in _COMMANDS}
    for _ in range(flags.FLAGS.rounds + 1):
        for name, arguments in _COMMANDS.items():
            begin, before = time.perf_counter(), _processor_seconds()
            subprocess.run(
                [sys.executable, *arguments],
                stdout=subprocess.DEVNULL,
                check=True,
            )
            seconds[name].append(
                (
                    time.perf_counter() - begin,
                    _processor_seconds() - before,
                )
            )
    for name, values in seconds.items():
        # The first one reads the files from disk.
        passed, used = np.median(values[1:], axis=0)
        print(
            f"  {name:22s} {passed:.3f} s, {used:.3f} s of a processor "
            f"(wanted: {_WANTED_SECONDS})"
        )
    return 0


def _processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run() -> None:
    """Entry point."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
