"""SIGTERM and SIGINT, whatever a training is at: the current step is saved."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.processes.run_test_case import RunTestCase
from helpers.sources.repository import ROOT

from kerasrnn.training.checkpoints import checkpoint

SEED = int(os.environ.get("KERASRNN_SEED", "0"))
SECONDS = 30  # in which the checkpoint must be there and the process gone


class InterruptionTest(RunTestCase):
    def setUp(self):
        super().setUp()
        self.draws = random.Random(SEED)

    def moments(self):
        """Yields a working directory, a signal and a random delay a trial."""
        for trial in range(10 if FULL else 1):
            for number in (signal.SIGTERM, signal.SIGINT):
                yield f"{number}-{trial}", number, self.draws.random()
                if not FULL:
                    return

    def interrupt(self, trainer, number, delay=0.0):
        """Sends a signal and waits for the end that the issue promises."""
        time.sleep(delay)
        started = time.monotonic()
        trainer.send_signal(number)
        status = trainer.finish(timeout=SECONDS)
        print(f"ended after {time.monotonic() - started:.1f} s")
        self.assertEqual(status, 128 + number, trainer.text)
        trainer.close()

    def test_while_training(self):
        for workdir, number, delay in self.moments():
            trainer = self.start(workdir)
            trainer.wait_for("step ")
            self.interrupt(trainer, number, delay)
            self.assertIn("Saved. Run the same command", trainer.text)
            saved = self.newest(workdir)
            self.assertGreater(saved.step, 1)

    def test_while_evaluating(self):
        self.write_text(100_000)  # Evaluating lasts longer than the test.
        for workdir, number, delay in self.moments():
            trainer = self.start(
                workdir,
                "--evaluate_every=3",
                "--validation_fraction=0.9",
                "--validation_cost=0",
            )
            trainer.wait_for("validation: ")
            self.interrupt(trainer, number, delay)
            saved = self.newest(workdir)
            self.assertEqual(saved.step, 3)
            self.assertEqual(saved.info["validated"], 0)

    def test_while_sampling_and_its_compilation(self):
        for workdir, number, delay in self.moments():
            trainer = self.start(
                workdir, "--evaluate_every=3", "--sample_length=1000000"
            )
            # Then the sample is due; at first its graph is made.
            trainer.wait_for("step 3: validation loss")
            self.interrupt(trainer, number, 5 * delay if FULL else 0)
            saved = self.newest(workdir)
            self.assertEqual(saved.step, 3)
            self.assertEqual(saved.info["validated"], 3)
            self.assertEqual(saved.info["sampled"], 0)

    def test_while_compiling(self):
        options = ("--num_layers=3", "--jit_compile=on")
        for workdir, number, delay in self.moments():
            # Before the first step there is nothing to save.
            trainer = self.start(workdir, *options)
            trainer.wait_for("3x16 lstm on")
            self.interrupt(trainer, number, delay)
            self.assertIn("Ended; no step is lost.", trainer.text)
            self.assertEmpty(
                checkpoint.steps(self.folder / workdir / "checkpoints")
            )
            quick = ("--num_layers=3", "--max_steps=1")
            self.assertEqual(self.start(workdir, *quick).finish(), 0)
            # Later, the newest checkpoint is that of the current step.
            trainer = self.start(workdir, *options, "--max_steps=9")
            trainer.wait_for("Resuming from step 1.")
            self.interrupt(trainer, number, delay)
            self.assertIn("Ended; no step is lost.", trainer.text)
            self.assertEqual(self.newest(workdir).step, 1)

    def test_second_signal_ends_at_once(self):
        for workdir, number, delay in self.moments():
            trainer = self.start(workdir, "--checkpoint_every=1000000")
            trainer.wait_for("step ")
            # Nobody reads from it, so that the training waits for ever.
            history = self.folder / workdir / "history.jsonl"
            os.mkfifo(self.folder / "fifo")
            (self.folder / "fifo").replace(history)
            trainer.send_signal(signal.SIGTERM)
            trainer.wait_for("Saving a checkpoint before exiting")
            # Sooner it is the same request.
            delay += 1.0
            self.interrupt(trainer, number, delay)
            self.assertIn("Ended at once.", trainer.text)
            checkpoints = self.folder / workdir / "checkpoints"
            for step in checkpoint.steps(checkpoints):
                checkpoint.load(checkpoints / str(step))

    @unittest.skipUnless(shutil.which("timeout"), "there is no timeout(1)")
    def test_timeout_of_gnu_signals_twice(self):
        # It does as when the time is over if it is sent SIGTERM itself.
        command = [
            *("timeout", "1d", sys.executable, "-m", "kerasrnn.train"),
            *("--workdir=workdir", *self.FLAGS),
        ]
        with subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process:
            text = ""
            for line in process.stdout:
                text += line
                if line.startswith("step "):
                    process.send_signal(signal.SIGTERM)
                    break
            text += process.communicate(timeout=SECONDS)[0]
        self.assertIn("Saved. Run the same command", text)
        self.assertGreater(self.newest("workdir").step, 1)


if __name__ == "__main__":
    absltest.main()
