"""Kill -9 of a training: nothing saved is lost, nothing computed differs.

The short form kills a few times, the full one (`make reliability`) a hundred
times in either test. Each says at its end what it has counted.
"""

import os
import random
import signal
import time

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.processes.run_test_case import RunTestCase
from helpers.processes.run_test_case import small_flags

from kerasrnn.errors import UserError
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.records.history import read_history

SEED = int(os.environ.get("KERASRNN_SEED", "0"))


class KillTestCase(RunTestCase):
    FLAGS = small_flags(
        schedule="constant",
        weight_decay=0.01,
        learning_rate=0.012,
        warmup_steps=0,
        dropout=0.2,
        recurrent_kernel_dropout=0.2,
        dropout_warmup_steps=1000,
        keep=2,
    )

    def setUp(self):
        super().setUp()
        self.draws = random.Random(SEED)

    def train(self, workdir, *arguments):
        """Trains to the end and returns the output."""
        trainer = self.start(workdir, *arguments)
        self.assertEqual(trainer.finish(), 0, trainer.text)
        trainer.close()
        return trainer.text

    def newest_step(self, workdir):
        """Returns the step of the newest checkpoint, intact or not."""
        return max(
            checkpoint.steps(self.folder / workdir / "checkpoints"), default=0
        )

    def history(self, workdir):
        """Returns what was recorded of each step and each validation."""
        lines = read_history(self.folder / workdir / "history.jsonl")
        for line in lines:
            line.pop("characters_per_second", None)
        return lines

    def assert_same_training(self, expected, actual):
        """Checks that two trainings of equal length are one, bit for bit."""
        self.assertEqual(self.history(expected), self.history(actual))
        first, second = (
            checkpoint.load(
                self.folder
                / workdir
                / "checkpoints"
                / str(self.newest_step(workdir))
            )
            for workdir in (expected, actual)
        )
        self.assertEqual(first.step, second.step)
        # What was the best so far, how far validation and history are, ...
        for info in (first.info, second.info):
            del info["elapsed"], info["seconds_per_step"], info["sampled"]
        self.assertEqual(first.info, second.info)
        for arrays, others in (
            (first.weights, second.weights),
            (first.training, second.training),
        ):
            self.assertEqual(arrays.keys(), others.keys())
            for name, array in arrays.items():
                self.assertEqual(array.tobytes(), others[name].tobytes(), name)


class KillTest(KillTestCase):
    """Kill after kill in one working directory, then to the end."""

    KILLS, INSIDE = (100, 30) if FULL else (4, 2)
    OPTIONS = (
        "--units=64",
        "--num_layers=1",
        "--evaluate_every=12",
        "--checkpoint_every=4",
        "--jit_compile=off",
    )

    def test_kills_at_random_moments_lose_no_checkpoint(self):
        self.inside = self.resumed = self.lost = self.interventions = 0
        kills = 0
        while kills < self.KILLS or self.inside < self.INSIDE:
            # One that is aimed may come a moment late.
            self.assertLess(kills, 10 * self.KILLS)
            aimed = kills >= self.KILLS or kills % 2 == 0
            # Most trainings draw no sample; its graph takes a while.
            sample = (
                "--sample_length=20" if kills % 8 == 7 else "--sample_length=0"
            )
            trainer = self.start("killed", *self.OPTIONS, sample)
            before = self.newest_step("killed")
            if aimed:
                self.wait_for_a_save(trainer)
            else:
                time.sleep(self.draws.uniform(0, 4))
            seen = self.newest_step("killed")
            trainer.kill()
            trainer.close()
            self.count(trainer.text, before, seen)
            kills += 1
        print(
            f"{kills} kills, {self.inside} inside a save; "
            f"{self.resumed} trainings went on, "
            f"{self.lost} checkpoints lost, "
            f"{self.interventions} manual steps."
        )
        self.assertEqual(self.lost, 0)
        self.assertEqual(self.interventions, 0)
        self.assertGreaterEqual(self.inside, self.INSIDE)
        # What all those processes computed is what one would have.
        steps = f"--max_steps={self.newest_step('killed') + 10}"
        self.train("killed", *self.OPTIONS, "--sample_length=0", steps)
        self.assertEqual(self.leftovers(), [])
        rarely = ("--checkpoint_every=1000000", "--sample_length=0", steps)
        self.train("undisturbed", *self.OPTIONS, *rarely)
        self.assert_same_training("undisturbed", "killed")

    def leftovers(self):
        """Returns what a save leaves that did not come to its end."""
        folder = self.folder / "killed"
        return [
            path
            for name in ("checkpoints", "best")
            for path in (folder / name).glob(".tmp-*")
            if not path.name.endswith("-removed")
        ]

    def wait_for_a_save(self, trainer):
        """Returns at a random moment of one of the next saves."""
        for _ in range(self.draws.randrange(1, 4)):
            self.wait(trainer, lambda: self.leftovers())
            started = time.monotonic()
            self.wait(trainer, lambda: not self.leftovers())
            duration = time.monotonic() - started
        self.wait(trainer, lambda: self.leftovers())
        time.sleep(self.draws.uniform(0, duration))

    def wait(self, trainer, condition):
        while not condition():
            self.assertTrue(trainer.is_alive(), trainer.text)
            time.sleep(0.0005)

    def count(self, output, before, seen):
        """Counts what a killed training left, and how it had gone on."""
        self.inside += bool(self.leftovers())
        directory = self.folder / "killed" / "checkpoints"
        steps = checkpoint.steps(directory)
        self.lost += max(steps, default=0) < seen
        # Every name in the directory stands for a whole checkpoint.
        for step in steps:
            try:
                checkpoint.load(directory / str(step))
            except UserError:
                self.lost += 1
        if "Resuming from step" in output:
            self.resumed += 1
            self.interventions += (
                f"Resuming from step {before:,}." not in output
            )
        self.interventions += "\nerror: " in output
        self.interventions += "is skipped" in output


class ResumeTest(KillTestCase):
    """Killed once, in the middle of an epoch, and run again to the end."""

    TRIALS = 100 if FULL else 1
    STEPS = 120
    OPTIONS = (
        "--checkpoint_every=7",
        "--evaluate_every=30",
        "--sample_length=0",
        f"--max_steps={STEPS}",
        # So that every step has a learning rate of its own.
        "--schedule=cosine",
        "--warmup_steps=20",
    )
    MODELS = (
        ("--cell=lstm", "--units=24", "--num_layers=2", "--jit_compile=off"),
        ("--cell=gru", "--units=16", "--num_layers=1", "--jit_compile=off"),
        # What people run: compiled, on all cores.
        ("--cell=lstm", "--units=16", "--num_layers=1", "--jit_compile=auto"),
        (
            "--cell=gru",
            "--units=24",
            "--num_layers=2",
            "--averaging=0",
            "--optimizer=rmsprop",
            "--jit_compile=off",
        ),
    )

    def test_killed_and_resumed_equals_undisturbed(self):
        equal = 0
        for trial in range(self.TRIALS):
            model = trial % len(self.MODELS)
            options = (*self.MODELS[model], *self.OPTIONS)
            undisturbed, killed = f"undisturbed{model}", f"killed{trial}"
            if trial < len(self.MODELS):
                self.train(undisturbed, *options)
                losses = [
                    loss
                    for line in self.history(undisturbed)
                    for loss in line["losses"]
                ]
                self.assertLen(losses, self.STEPS)
            self.train_until_killed(killed, *options)
            saved = self.newest_step(killed)
            output = self.train(killed, *options)
            self.assertIn(f"Resuming from step {saved}.", output)
            with self.subTest(trial):
                self.assert_same_training(undisturbed, killed)
                equal += 1
        print(f"{equal} of {self.TRIALS} resumed trainings equal, bit for bit.")

    def train_until_killed(self, workdir, *options):
        """Trains, and kills it at a random moment after a random save."""
        step = self.draws.randrange(1, 100)
        trainer = self.start(workdir, *options)
        while self.newest_step(workdir) < step:
            self.assertTrue(trainer.is_alive(), trainer.text)
            time.sleep(0.0005)
        time.sleep(self.draws.uniform(0, 0.03))
        trainer.kill()
        trainer.close()
        self.assertEqual(trainer.status, -signal.SIGKILL, trainer.text)


if __name__ == "__main__":
    absltest.main()
