"""Ctrl-C while Python code trains, in a notebook for instance: nothing is lost.

Each run is a process that calls `kerasrnn.train_and_evaluate`, whose handler
of SIGINT is Python's own.
"""

import multiprocessing
import os
import random
import signal
import time

import rich.console
from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.models.small_training import TrainingTestCase
from helpers.models.small_training import make_config
from helpers.processes.forked_trainer import start_call

import kerasrnn
from kerasrnn.training.checkpoints.workdir import locked
from kerasrnn.training.records.display import Display
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.step.schedule import Limits

SEED = int(os.environ.get("KERASRNN_SEED", "0"))
INTERRUPTIONS = 20 if FULL else 3
# Nearly all of the time is TensorFlow's, as it is for people.
OPTIONS = {
    "model": {"units": 128},
    "batch_size": 8,
    "sequence_length": 32,
    "epochs": 1_000_000,
    "evaluate_every": 1_000_000,
    "schedule": "constant",
    "warmup_steps": 0,
}


class Teller(Observer):
    """Tells another process how far the run is; may wait there for ever."""

    def __init__(self, connection, waits_at):
        self._connection = connection
        self._waits_at = waits_at

    def started(self, status):
        self._tell("started", status.step)

    def progressed(self, progress):
        self._tell("progressed", progress.step)

    def saving(self):
        self._tell("saving", 0)

    def _tell(self, what, step):
        self._connection.send((what, step))
        if what == self._waits_at:
            self._connection.recv()


def train(connection, folder, name, max_steps, waits_at):
    """Trains as a notebook does, and tells how that ended."""
    # Whoever runs the tests may have had a shell ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data = kerasrnn.DataConfig(data=(str(folder / "text.txt"),))
    end = "finished"
    with locked(folder / name) as workdir:
        corpus = kerasrnn.build_corpus(data, workdir.corpus)
        try:
            kerasrnn.train_and_evaluate(
                make_config(corpus, **OPTIONS),
                workdir,
                corpus,
                limits=Limits(max_steps=max_steps),
                display=Display(rich.console.Console(quiet=True)),
                observers=[Teller(connection, waits_at)],
            )
        except KeyboardInterrupt:
            end = "interrupted"
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        end += ", and its handler is left"
    connection.send(("ended", end))


class Run:
    """One process that trains.

    Attributes:
        step: The newest step that it has told of.
    """

    def __init__(self, *arguments):
        self._connection, its_end = multiprocessing.Pipe()
        self.process = start_call(train, its_end, *arguments)
        its_end.close()
        self.step = 0

    def wait_for(self, what):
        """Returns what it says of an event, once that has come."""
        while True:
            event, detail = self._connection.recv()
            if event in ("started", "progressed"):
                self.step = detail
            if event == what:
                return detail

    def interrupt(self):
        """Does as Ctrl-C does."""
        os.kill(self.process.pid, signal.SIGINT)


class KeyboardInterruptTest(TrainingTestCase):
    def start(self, name="a", max_steps=0, waits_at=""):
        run = Run(self.folder, name, max_steps, waits_at)
        self.addCleanup(run.process.join)
        self.addCleanup(run.process.kill)
        return run

    def test_the_current_step_is_saved_and_resumed(self):
        draws = random.Random(SEED)
        step = 0
        for trial in range(INTERRUPTIONS):
            run = self.start()
            self.assertEqual(run.wait_for("started"), step)
            run.wait_for("progressed")
            time.sleep(draws.uniform(0, 0.1))
            run.interrupt()
            if trial % 2:
                # Within a second it is the same request.
                run.interrupt()
            self.assertEqual(run.wait_for("ended"), "interrupted")
            self.assertGreater(run.step, step)
            step = run.step
            self.assertEqual(self.newest("a").step, step)
        for name in ("a", "undisturbed"):
            run = self.start(name, max_steps=step + 3)
            self.assertEqual(run.wait_for("ended"), "finished")
        self.assertLen(self.losses("a"), step + 3)
        self.assertEqual(self.losses("a"), self.losses("undisturbed"))
        self.assert_same_arrays(
            self.newest("a").training, self.newest("undisturbed").training
        )

    def test_a_second_one_ends_at_once(self):
        run = self.start(waits_at="saving")
        run.wait_for("progressed")
        run.interrupt()
        run.wait_for("saving")
        # Sooner it is the same request.
        time.sleep(1.1)
        run.interrupt()
        self.assertEqual(run.wait_for("ended"), "interrupted")
        self.assertIsNone(self.newest("a"))

    def test_before_the_first_step_nothing_is_waited_for(self):
        run = self.start(waits_at="started")
        run.wait_for("started")
        run.interrupt()
        self.assertEqual(run.wait_for("ended"), "interrupted")
        self.assertIsNone(self.newest("a"))


if __name__ == "__main__":
    absltest.main()
