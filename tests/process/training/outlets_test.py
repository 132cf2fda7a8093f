"""What a training shows may have nobody to read it: it trains, and saves."""

import os
import signal
import subprocess
import sys

from absl.testing import absltest
from helpers.models.small_training import TrainingTestCase
from helpers.processes.run_test_case import RunTestCase
from helpers.processes.run_test_case import small_flags

from kerasrnn.foundation import closed_outputs
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.records.display import Display
from kerasrnn.training.step.schedule import Limits

SECONDS = 60


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
