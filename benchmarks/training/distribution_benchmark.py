"""Times one process against two workers with half of the batch each.

    python -m benchmarks.training.distribution_benchmark --units=128 --batch=64

Both sides make the same training steps on this machine: the one process with
all of its cores, the two workers over loopback with half of the cores each.
What the second side loses is the cost of distribution: each step adds up a
gradient of all weights, and waits for the slower worker. They take turns, so
that a change of the machine's speed meets both alike. Printed are the medians
over the rounds, and the ratio with its spread.
"""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
from absl import app
from absl import flags

from benchmarks.shared.alternation import alternate
from benchmarks.shared.alternation import ratio
from benchmarks.shared.alternation import this_program

_VOCABULARY = 65


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    for name, value, text in (
        ("layers", 2, "Number of recurrent layers."),
        ("units", 128, "Width of each layer."),
        ("batch", 64, "Streams side by side, over both workers."),
        ("length", 50, "Time steps of a stream."),
        ("rounds", 9, "Turns of each side."),
        ("steps", 0, "Steps a turn; 0 is about half a second of them."),
    ):
        flags.DEFINE_integer(name, value, text, flag_values=flag_values)
    flags.DEFINE_string(
        "cores", "", "Internal: be a worker on these.", flag_values=flag_values
    )


def main(argv):
    """Runs the sides in turns, or is one process of them."""
    del argv
    options = flags.FLAGS
    if options.cores:
        _work(options)
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("error: this needs two cores, one for each worker.")
    halves = [cores[: len(cores) // 2], cores[len(cores) // 2 :]]
    sides = {
        "1 process": _Side([cores], [""]),
        "2 workers": _Side(halves, _tf_configs(2)),
    }
    seconds = alternate(sides, options.rounds, options.steps)
    print(
        f"{options.layers}x{options.units} LSTM, {options.batch} streams of "
        f"{options.length}, {len(cores)} cores, {options.rounds} rounds"
    )
    for name, values in seconds.items():
        print(f"  {name} {1 / np.median(values):8.2f} steps/s (median)")
    spread = ratio(seconds["1 process"], seconds["2 workers"])
    print(f"  2 workers / 1 process: {spread}")


class _Side:
    """Processes that make their steps together.

    They are not stopped while the other side has its turn, as
    `alternation.Worker` is: a worker that stands still is given up by its
    peer. None of them spins.
    """

    def __init__(self, cores, tf_configs):
        self._processes = [
            subprocess.Popen(
                [*_command(), f"--cores={','.join(map(str, own))}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={
                    **os.environ,
                    "TF_CONFIG": tf_config,
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                },
            )
            for own, tf_config in zip(cores, tf_configs, strict=True)
        ]

    def turn(self, steps):
        """Makes some steps; returns the slowest process's seconds a step."""
        for process in self._processes:
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
        replies = [process.stdout.readline() for process in self._processes]
        if not all(replies):
            sys.exit("error: a process has ended; see its message above.")
        return max(float(reply) for reply in replies) / steps

    def close(self):
        """Lets all processes end together."""
        for process in self._processes:
            process.stdin.close()
        for process in self._processes:
            process.wait()


def _command():
    return [sys.executable, *this_program(), *sys.argv[1:]]


def _work(options):
    """Trains so many steps as each line of the input says."""
    os.sched_setaffinity(0, [int(core) for core in options.cores.split(",")])
    from kerasrnn.config import Config
    from kerasrnn.config import ModelConfig
    from kerasrnn.config import TrainingConfig
    from kerasrnn.model.weights import state_sizes
    from kerasrnn.training.multi_worker.process_group import join
    from kerasrnn.training.multi_worker.tf_config import wanted_cluster
    from kerasrnn.training.step.devices import distribute
    from kerasrnn.training.step.devices import make_strategy
    from kerasrnn.training.step.flat_weights import initial_weights
    from kerasrnn.training.step.trainer import Trainer
    from kerasrnn.training.step.workers import Workers

    cluster = wanted_cluster("auto", "", os.environ)
    if cluster is None:
        workers = Workers(make_strategy("one_device"))
    else:
        workers = join(cluster)
    strategy = workers.strategy
    config = Config(
        model=ModelConfig(
            vocabulary_size=_VOCABULARY,
            units=options.units,
            num_layers=options.layers,
        ),
        training=TrainingConfig(
            batch_size=options.batch, sequence_length=options.length
        ),
    )
    trainer = Trainer(config, strategy, *initial_weights(config.model, 0))
    states = [
        np.zeros([options.batch, size], np.float32)
        for size in state_sizes(config.model)
    ]
    states = distribute(strategy, states, 0)
    draws = np.random.default_rng(0)
    step = 0
    for line in sys.stdin:
        count = int(line)
        shape = (2, count, options.batch, options.length)
        arrays = list(draws.integers(1, _VOCABULARY, shape, dtype=np.int32))
        arrays = distribute(strategy, arrays, 1)
        started = time.perf_counter()
        states, _ = trainer.run(*arrays, states, step, [1e-3] * count)
        print(time.perf_counter() - started, flush=True)
        step += count
    workers.finish()


def _tf_configs(count):
    """Returns what each of some workers on this machine is told."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return [
        json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(count)
    ]


if __name__ == "__main__":
    define_flags()
    app.run(main)
