"""Kills, signals, finished runs and other flags in one directory, mixed.

Whatever comes after what, the history has each step once, the best model is
the best that was found, and in the end all is what one run computes. The
short form has each kind of end once, the full one (`make reliability`) many.
"""

import os
import pathlib
import random
import shutil
import signal
import time

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.processes.forked_trainer import ForkedTrainer

from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints.finding import read_best
from kerasrnn.training.records.history import read_history

SEED = int(os.environ.get("KERASRNN_SEED", "0"))
RUNS = 300 if FULL else 6
SECONDS = 300  # in which a run gets somewhere, on a busy machine
TEXT = "It is a truth universally acknowledged, that a single man. \n" * 60

SMALL = (
    "--cell=simple_rnn",
    "--units=4",
    "--num_layers=1",
    "--batch_size=4",
    "--sequence_length=16",
    "--epochs=1000000",
    # By themselves these follow from where a run is to end.
    "--schedule=constant",
    "--weight_decay=0.01",
    "--learning_rate=0.012",
    "--warmup_steps=0",
    "--dropout=0.2",
    "--recurrent_kernel_dropout=0.2",
    "--dropout_warmup_steps=30",
    "--sample_length=0",
    "--jit_compile=off",
)
ENDS = ("kill", "finish", "terminate", "kill", "finish", "interrupt")


class MixtureTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        for name in ("text.txt", "as_it_was.txt"):
            (self.folder / name).write_text(TEXT)
        self.workdir = self.folder / "mixed"
        self.draws = random.Random(SEED)
        self.validations = {}
        self.best = None

    def start(self, *arguments, workdir="mixed", text="text.txt"):
        trainer = ForkedTrainer(
            [f"--workdir={workdir}", f"--data={text}", *SMALL, *arguments],
            self.folder,
        )
        self.addCleanup(trainer.close)
        return trainer

    def finish(self, *arguments, **names):
        """Trains to the end and returns the output."""
        trainer = self.start(*arguments, **names)
        self.assertEqual(trainer.finish(SECONDS), 0, trainer.text)
        trainer.close()
        return trainer.text

    def test_any_mixture(self):
        for run in range(RUNS):
            end = ENDS[run] if run < len(ENDS) else self.draws.choice(ENDS)
            with self.subTest(run, end=end):
                self.run_once(end)
        # What is made in the end is what one run makes.
        last = f"--max_steps={self.newest() + 7}"
        self.finish(last)
        self.check_records(is_orderly=True)
        self.finish(last, workdir="undisturbed", text="as_it_was.txt")
        losses = self.losses(self.workdir)
        self.assertEqual(losses, self.losses(self.folder / "undisturbed"))
        print(f"{RUNS} runs, {len(losses)} steps: each once and as in one run.")

    def run_once(self, end):
        """Begins or resumes, ends in a way, and looks at what is left."""
        flags = [
            f"--evaluate_every={self.draws.choice((3, 7, 10, 1000000))}",
            f"--checkpoint_every={self.draws.choice((2, 5, 11, 50))}",
            f"--keep={self.draws.choice((1, 2, 3))}",
        ]
        self.meddle()
        if end == "finish":
            flags.append(
                f"--max_steps={self.newest() + self.draws.randrange(1, 40)}"
            )
            self.assertIn("Finished: --max_steps", self.finish(*flags))
            self.check_records(is_orderly=True)
            self.assert_stays_finished(flags)
            return
        trainer = self.start(*flags, "--max_steps=0")
        self.wait_for_a_record(trainer)
        time.sleep(self.draws.uniform(0, 0.3))
        if end == "kill":
            trainer.kill()
        else:
            number = signal.SIGTERM if end == "terminate" else signal.SIGINT
            trainer.send_signal(number)
            status = trainer.finish(SECONDS)
            self.assertEqual(status, 128 + number, trainer.text)
        trainer.close()
        self.check_records(is_orderly=end != "kill")

    def meddle(self):
        """Does as people do between two runs, now and then."""
        what = self.draws.randrange(6)
        steps = self.steps("checkpoints")
        if what == 0 and len(steps) > 1:
            shutil.rmtree(self.workdir / "checkpoints" / str(steps[-1]))
        elif what == 1:
            shutil.rmtree(self.workdir / "best", ignore_errors=True)
            self.best = None
        elif what == 2 and steps:
            # Appended to, as a log is: the run resumes with its own copy.
            with open(self.folder / "text.txt", "a") as file:
                file.write("One more line.\n")

    def wait_for_a_record(self, trainer):
        """Returns once a run has written something of its own."""
        history = self.workdir / "history.jsonl"
        trainer.wait_for("1x4 simple_rnn on")
        size = history.stat().st_size if history.exists() else 0
        deadline = time.monotonic() + SECONDS
        while not history.exists() or history.stat().st_size <= size:
            if history.exists():
                size = min(size, history.stat().st_size)
            self.assertTrue(trainer.is_alive(), trainer.text)
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.001)

    def assert_stays_finished(self, flags):
        before = self.contents()
        shown = self.finish(*flags)
        self.assertIn("mixed is trained already: --max_steps", shown)
        self.assertNotIn("TensorFlow", shown)
        self.assertEqual(self.contents(), before)

    def check_records(self, is_orderly):
        """Checks the history and the best model.

        Args:
            is_orderly: Whether the run ended by itself or by a signal, so
                that all it has found out is saved.
        """
        self.losses(self.workdir)
        for line in read_history(self.workdir / "history.jsonl"):
            if "validation_loss" in line:
                loss = self.validations.setdefault(
                    line["step"], line["validation_loss"]
                )
                # Made again, a step is the same.
                self.assertEqual(loss, line["validation_loss"])
        before, self.best = self.best, read_best(self.workdir / "best")
        if self.best is not None:
            self.assertEqual(self.validations[self.best.step], self.best.loss)
        if before is not None:
            self.assertIsNotNone(self.best)
            self.assertLessEqual(self.best.loss, before.loss)
        if is_orderly:
            self.assertNotEmpty(self.steps("checkpoints"))
            expected = [self.best.step] if self.best else []
            self.assertEqual(self.steps("best"), expected)

    def losses(self, workdir):
        """Returns each step's loss; each must be there once, in order."""
        losses, steps = [], []
        for line in read_history(workdir / "history.jsonl"):
            losses += line["losses"]
            steps.append(line["step"])
            self.assertLen(losses, line["step"])
        self.assertEqual(steps, sorted(set(steps)))
        return losses

    def steps(self, name):
        return checkpoint.steps(self.workdir / name)

    def newest(self):
        return max(self.steps("checkpoints"), default=0)

    def contents(self):
        return {
            path: path.read_bytes()
            for path in self.workdir.rglob("*")
            if path.is_file() and path.name != "lock"
        }


if __name__ == "__main__":
    absltest.main()
