"""What a training shows may have nobody to read it: it trains, and saves."""

import fcntl
import os
import signal
import subprocess
import sys

import rich.console
from absl.testing import absltest
from helpers.models.small_training import TrainingTestCase
from helpers.models.small_training import make_config
from helpers.processes.forked_trainer import start_call
from helpers.processes.run_test_case import RunTestCase
from helpers.processes.run_test_case import small_flags

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation import closed_outputs
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints.manager import CheckpointManager
from kerasrnn.training.checkpoints.workdir import locked
from kerasrnn.training.records.display import Display
from kerasrnn.training.records.history import read_history
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.train_and_evaluate import train_and_evaluate

SECONDS = 60
LAST_STEP = 13


class BrokenDisplay(Display):
    """Cannot show the third status."""

    def __init__(self, error):
        super().__init__()
        self._left = 3
        self._error = error

    def progressed(self, progress):
        self._left -= 1
        if not self._left:
            raise self._error


class EveryEndTest(TrainingTestCase):
    def test_the_current_step_is_saved_whatever_ends_the_loop(self):
        limits = Limits(max_steps=30)
        options = {"evaluate_every": 9, "checkpoint_every": 1000}
        self.train("undisturbed", limits, **options)
        errors = (
            RuntimeError("a fault"),
            MemoryError(),
            SystemExit(1),
            KeyboardInterrupt(),
            BrokenPipeError(),
        )
        for index, error in enumerate(errors):
            name = f"ended-{index}"
            with self.assertRaises(type(error)):
                self.train(
                    name, limits, display=BrokenDisplay(error), **options
                )
            saved = self.newest(name)
            self.assertGreater(saved.step, 3)
            self.assertLess(saved.step, 30)
            if not index:
                self.train(name, limits, **options)
                self.assertEqual(self.losses("undisturbed"), self.losses(name))
                self.assert_same_arrays(
                    self.newest("undisturbed").training,
                    self.newest(name).training,
                )


class DiesOnceFinished(CheckpointManager):
    """Its process is killed when it has saved that the run is over."""

    def save(self, saved):
        super().save(saved)
        if saved.info["finished"]:
            os.kill(os.getpid(), signal.SIGKILL)


class DiesWithTheLine(Observer):
    """Its process is killed as the line of the last step is written."""

    def line_ended(self, line):
        if line["step"] == LAST_STEP:
            os.kill(os.getpid(), signal.SIGKILL)


class NoRoom(Observer):
    """After the last step the history is a file that cannot grow."""

    def __init__(self, history, kept):
        self._history, self._kept = history, kept

    def progressed(self, progress):
        if progress.step == LAST_STEP:
            self._history.rename(self._kept)
            file = os.memfd_create("history", os.MFD_ALLOW_SEALING)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
            self._history.symlink_to(f"/proc/self/fd/{file}")


def train(folder, max_steps, manager=CheckpointManager, observers=()):
    """Trains without validations, so that the last line waits for the end."""
    text = (str(folder / "text.txt"),)
    data = DataConfig(data=text, validation_fraction=0.0)
    with locked(folder / "a") as workdir:
        corpus = build_corpus(data, workdir.corpus)
        train_and_evaluate(
            make_config(corpus, schedule="constant", epochs=9),
            workdir,
            corpus,
            limits=Limits(max_steps=max_steps),
            display=Display(rich.console.Console(quiet=True)),
            checkpoints=manager(workdir),
            observers=observers,
        )


class LastLineTest(TrainingTestCase):
    """Whatever a run meets at its end, the last steps are in the history."""

    def lines(self):
        history = read_history(self.folder / "a" / "history.jsonl")
        self.assertLen(self.losses("a"), history[-1]["step"])
        return [line["step"] for line in history]

    def kill(self, *arguments):
        process = start_call(train, self.folder, LAST_STEP, *arguments)
        process.join()
        self.assertEqual(process.exitcode, -signal.SIGKILL)

    def test_killed_once_it_is_finished(self):
        self.kill(DiesOnceFinished)
        # No program looks at it again.
        self.assertNotEmpty(self.newest("a").info["finished"])
        self.assertEqual(self.lines(), [10, LAST_STEP])
        # Extended, it is as if it had not ended there.
        train(self.folder, 25)
        self.assertEqual(self.lines(), [10, 20, 25])

    def test_killed_before_it_is_finished(self):
        self.kill(CheckpointManager, [DiesWithTheLine()])
        self.assertIsNone(self.newest("a"))
        train(self.folder, LAST_STEP)
        self.assertEqual(self.lines(), [10, LAST_STEP])

    def test_the_line_cannot_be_written(self):
        history = self.folder / "a" / "history.jsonl"
        kept = self.folder / "kept"
        with self.assertRaisesRegex(UserError, "not permitted"):
            train(self.folder, LAST_STEP, observers=[NoRoom(history, kept)])
        saved = self.newest("a")
        self.assertEqual(saved.step, LAST_STEP)
        self.assertEqual(saved.info["finished"], "")
        kept.replace(history)
        train(self.folder, LAST_STEP)
        self.assertNotEmpty(self.newest("a").info["finished"])
        self.assertEqual(self.lines(), [10, LAST_STEP])


class OutletsTest(absltest.TestCase):
    def test_a_pipe_that_nobody_reads_is_not_waited_for(self):
        code = (
            "from kerasrnn.foundation import closed_outputs\n"
            "for _ in range(3000): closed_outputs.tell('x' * 100)\n"
            "print('done')\n"
        )
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        process = subprocess.run(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=writer,
            timeout=SECONDS,
            check=True,
        )
        os.close(writer)
        self.assertEqual(process.stdout, b"done\n")

    def test_a_file_is_given_up_after_its_first_failure(self):
        reader, writer = os.pipe()
        os.close(reader)
        file = closed_outputs.EnduringFile(os.fdopen(writer, "w"))
        for _ in range(3):
            self.assertEqual(file.write("x"), 1)
            file.flush()
        closed_outputs.silence(file)
        file.close()
        closed_outputs.EnduringFile(None).write("nobody")


class ProcessTest(RunTestCase):
    FLAGS = small_flags(checkpoint_every=1_000_000)

    def test_a_reader_that_goes_away_does_not_end_a_training(self):
        trainer = self.start("w", "--max_steps=800")
        trainer.wait_for("Starting TensorFlow")
        trainer.output.close()
        trainer.join(SECONDS)
        self.assertEqual(trainer.status, 0)
        self.assertEqual(self.newest("w").step, 800)

    def test_a_repeat_within_a_second_is_the_same_signal(self):
        for second in (signal.SIGTERM, signal.SIGHUP):
            trainer = self.start("w")
            trainer.wait_for("step ")
            trainer.send_signal(signal.SIGTERM)
            # It has been taken: what follows is another one.
            trainer.wait_for("Saving a checkpoint before exiting")
            trainer.send_signal(second)
            self.assertEqual(trainer.finish(SECONDS), 128 + signal.SIGTERM)
            self.assertIn("Saved.", trainer.text)
            trainer.close()

    def test_signals_with_no_output_left(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            trainer = self.start("w")
            trainer.wait_for("step ")
            before = self.folder / "w" / "checkpoints"
            steps = checkpoint.steps(before)
            trainer.output.close()  # Standard output and error are one pipe.
            trainer.send_signal(number)
            trainer.join(SECONDS)
            self.assertEqual(trainer.status, 128 + number)
            self.assertGreater(self.newest("w").step, max(steps, default=1))


if __name__ == "__main__":
    absltest.main()
