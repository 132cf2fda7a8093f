"""Tests of kerasrnn-train as people run it: processes, signals, kills."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys

import numpy as np
from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.processes.forked_trainer import ForkedTrainer
from helpers.processes.forked_trainer import run_forked
from helpers.sources.repository import ROOT

from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.records.history import read_history

TEXT = "It is a truth universally acknowledged, that a single man. \n" * 400

SMALL = (
    "--units=16",
    "--num_layers=1",
    "--batch_size=16",
    "--sequence_length=20",
    "--epochs=100000",
    # By themselves these follow from where a run is to end.
    "--schedule=constant",
    "--weight_decay=0.01",
    "--learning_rate=0.012",
    "--warmup_steps=0",
    "--evaluate_every=40",
    "--checkpoint_every=30",
    "--sample_length=20",
    "--dropout=0.2",
)

# The program, and what it has imported when it ends.
_TELLING_MODULES = """
import atexit
import sys
from kerasrnn import train
atexit.register(lambda: print("modules:", *sorted(sys.modules)))
train.run()
"""


class TrainTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.text = self.folder / "text.txt"
        self.text.write_text(TEXT)
        self.workdir = self.folder / "workdir"

    def start(self, *arguments):
        """Starts the program with small settings."""
        command = [sys.executable, "-m", "kerasrnn.train"]
        command += [f"--workdir={self.workdir}", *arguments]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def train(self, *arguments):
        """Runs the program to its end; returns status, stdout and stderr."""
        process = self.start(*arguments)
        output, errors = process.communicate()
        self.assertNotIn("Traceback", errors)
        return process.returncode, output, errors

    def start_forked(self, *arguments):
        """Starts the program where TensorFlow is imported."""
        workdir = f"--workdir={self.workdir}"
        trainer = ForkedTrainer([workdir, *arguments], self.folder)
        self.addCleanup(trainer.close)
        return trainer

    def train_forked(self, *arguments):
        """Runs the program where TensorFlow is imported; returns stdout."""
        workdir = f"--workdir={self.workdir}"
        return run_forked(
            "kerasrnn.train", workdir, *arguments, cwd=self.folder
        ).stdout

    def wait_for(self, process, beginning):
        """Reads the program's output up to a line."""
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line.startswith(beginning):
                return line
        self.fail(f"{beginning!r} never came: {seen}, {process.stderr.read()}")

    def small(self, *arguments):
        return (f"--data={self.text}", *SMALL, *arguments)

    def steps(self):
        return checkpoint.steps(self.workdir / "checkpoints")

    def test_interrupted_and_killed_training_equals_undisturbed(self):
        # A signal: the current step is saved, and the exit status says why.
        trainer = self.start_forked(*self.small())
        trainer.wait_for("step 40: validation loss")
        status, _, errors = self.train(*self.small())
        self.assertEqual(status, 1)
        self.assertIn(f"process {trainer.pid} on ", errors)
        trainer.send_signal(signal.SIGTERM)
        self.assertEqual(trainer.finish(), 143, trainer.text)
        self.assertIn("Saved. Run the same command again", trainer.text)
        saved = self.steps()[-1]
        self.assertLen(_losses(self.workdir, saved), saved)

        # A kill, at a random moment, and the same command again.
        draws = random.Random(os.environ.get("KERASRNN_SEED", "0"))
        for _ in range(10 if FULL else 1):
            trainer = self.start_forked(*self.small())
            line = trainer.wait_for("Resuming from step")
            step = int(line.split()[-1].strip(".").replace(",", ""))
            self.assertGreaterEqual(step, saved)
            for _ in range(draws.randrange(1, 4)):
                trainer.wait_for("--- sample after step")
            trainer.kill()
        reached = self.steps()[-1]
        self.assertGreater(reached, saved)

        # Ended by a limit: every step's loss and the weights are those of a
        # training that nobody disturbed.
        limit = f"--max_steps={reached + 25}"
        output = self.train_forked(*self.small(limit))
        self.assertIn(f"Finished: {limit} is reached", output)
        disturbed = self.workdir
        self.workdir = self.folder / "undisturbed"
        self.train_forked(*self.small(limit))
        losses = _losses(self.workdir)
        self.assertLen(losses, reached + 25)
        self.assertEqual(losses, _losses(disturbed))
        expected, actual = (
            finding.load_latest(folder / "checkpoints")
            for folder in (self.workdir, disturbed)
        )
        for arrays, others in (
            (expected.weights, actual.weights),
            (expected.training, actual.training),
        ):
            for name, array in arrays.items():
                np.testing.assert_array_equal(array, others[name], name)

        # It is over: said at once, without TensorFlow.
        status, output, _ = self.train(*self.small(limit))
        self.assertEqual(status, 0)
        self.assertIn("is trained already", output)
        self.assertNotIn("Starting TensorFlow", output)

        # Other settings are refused; those not given stay as they were.
        status, _, errors = self.train("--units=17")
        self.assertEqual(status, 1)
        self.assertIn("--units is 16 there and 17 here", errors)

    def test_interrupt_by_keyboard_and_a_second_signal(self):
        process = self.start(*self.small("--evaluate_every=1000000"))
        self.wait_for(process, "step ")
        process.send_signal(signal.SIGINT)
        process.communicate()
        self.assertEqual(process.returncode, 130)
        saved = self.steps()[-1]
        self.assertLen(_losses(self.workdir, saved), saved)
        # At the start nothing can be lost, so it ends at once.
        process = self.start(*self.small("--evaluate_every=1000000"))
        self.wait_for(process, "Starting TensorFlow")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        self.assertEqual(process.returncode, 143)
        self.assertIn("no step is lost", errors)

    def test_one_machine_imports_nothing_that_only_several_need(self):
        command = [sys.executable, "-c", _TELLING_MODULES]
        command += self.small(f"--workdir={self.workdir}", "--max_steps=41")
        process = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": ""},
            timeout=300,
        )
        self.assertEqual(process.returncode, 0, process.stderr)
        modules = process.stdout.split("modules: ")[-1].split()
        several = "kerasrnn.training.multi_worker"
        self.assertEqual([m for m in modules if m.startswith(several)], [])
        self.assertIn("kerasrnn.training.step.trainer", modules)

    def test_preset_on_a_text_of_ones_own(self):
        output = self.train_forked(
            "--preset=charrnn",
            f"--data={self.text}",
            "--batch_size=10",
            "--split_streams=10",
            "--units=8",
            "--max_steps=3",
        )
        self.assertIn("interleaved split", output)
        config = json.loads((self.workdir / "config.json").read_text())
        self.assertEqual(config["training"]["optimizer"], "rmsprop")
        self.assertEqual(config["model"]["units"], 8)


def _losses(workdir, last_step=10**9):
    """Returns each step's loss up to a step."""
    losses = []
    for line in read_history(workdir / "history.jsonl"):
        losses += line.get("losses", [])
    pending = []
    if last_step < 10**9:
        path = workdir / "checkpoints" / str(last_step)
        pending = [
            nats / characters
            for nats, characters, *_ in checkpoint.load(path).info["pending"]
        ]
    return losses + pending


if __name__ == "__main__":
    absltest.main()
