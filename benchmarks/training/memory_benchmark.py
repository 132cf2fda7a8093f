"""Peak memory of a training step against the length of the sequences.

    python -m benchmarks.training.memory_benchmark
    python -m benchmarks.training.memory_benchmark --units=512 --batch=16

The step and its sides are those of training_benchmark.py. Each side and
length runs in a process of its own, which makes two steps; what is printed is
the process's peak of resident memory beyond that of the same step at length
1, so that the size of a framework does not count. It should be linear in the
length: the megabytes of a time step are those between the two longest.
"""

import subprocess
import sys
from pathlib import Path

from absl import app
from absl import flags

_PROGRAM = ("-m", "benchmarks.training.training_benchmark")
_SIDES = ["keras", "layers", "charrnn", "torch"]


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_enum(
        "cell",
        "lstm",
        ["simple_rnn", "lstm", "gru"],
        "Kind of cell.",
        flag_values=flag_values,
    )
    for name, value, text in (
        ("layers", 2, "Number of recurrent layers."),
        ("units", 128, "Width of each layer."),
        ("batch", 50, "Streams side by side."),
    ):
        flags.DEFINE_integer(name, value, text, 1, flag_values=flag_values)
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16"],
        "bfloat16: the mixed_bfloat16 policy, and autocast in PyTorch.",
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "lengths",
        ["100", "300", "1000"],
        "Time steps.",
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "sides", _SIDES, "Which sides take part.", flag_values=flag_values
    )


def main(argv):
    """Prints a row a side."""
    del argv
    options = flags.FLAGS
    lengths = sorted(int(length) for length in options.lengths)
    print(
        f"{options.layers}x{options.units} {options.cell} batch "
        f"{options.batch} {options.dtype}: megabytes at each length, beyond "
        "those at length 1"
    )
    columns = "".join(f"{f'T={length}':>10s}" for length in lengths)
    print(f"{'':10s}{columns}{'a time step':>14s}{'T=1':>10s}")
    for side in options.sides:
        base = _peak(options, side, 1)
        if base is None:
            print(f"{side:10s} is left out: it did not start")
            continue
        peaks = [_peak(options, side, length) - base for length in lengths]
        row = f"{side:10s}" + "".join(f"{peak:10,.0f}" for peak in peaks)
        if len(lengths) > 1:
            steps = lengths[-1] - lengths[-2]
            row += f"{(peaks[-1] - peaks[-2]) / steps:14.2f}"
        print(row + f"{base:10,.0f}", flush=True)


def _peak(options, side, length):
    """Returns a process's peak in megabytes, or None if it ended early."""
    command = [sys.executable, *_PROGRAM, f"--worker={side}"]
    command.append(f"--length={length}")
    for name in ("cell", "layers", "units", "batch", "dtype"):
        command.append(f"--{name}={options[name].value}")
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as worker:
        worker.stdin.write("2\n")
        worker.stdin.flush()
        if not worker.stdout.readline():
            return None
        status = Path(f"/proc/{worker.pid}/status").read_text()
        worker.stdin.close()
    (line,) = (row for row in status.splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    define_flags()
    app.run(main)
