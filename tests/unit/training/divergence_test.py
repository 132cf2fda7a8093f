"""Tests of trainings that diverge: NaN, infinity, exploding losses."""

import math
import pathlib
import re

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.small_checkpoints import make_checkpoint
from helpers.models.small_training import StopsAt
from helpers.models.small_training import TrainingTestCase
from helpers.processes.forked_trainer import ForkedTrainer

from kerasrnn.errors import UserError
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints.manager import CheckpointManager
from kerasrnn.training.checkpoints.rollback import MOST_ROLLBACKS
from kerasrnn.training.checkpoints.rollback import rate_factor
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.records.history import read_history
from kerasrnn.training.step import divergence
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.step.trainer import StepRecords

# Diverges, and with an eighth of the learning rate no more.
WILD = {
    "learning_rate": 4.0,
    "clip_norm": 0.0,
    "schedule": "constant",
    "warmup_steps": 0,
    "optimizer": "adam",
    "averaging": 0.0,
    "checkpoint_every": 4,
    "evaluate_every": 8,
    "epochs": 100,
}


class RecordsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("nats", np.nan, "the loss is nan"),
        ("nats", np.inf, "the loss is inf"),
        ("nats", 64 * 12.9, "the loss is 12.9 nats per character, above 12.5"),
        ("gradient_norm", np.nan, "the gradient's norm is nan"),
        ("gradient_norm", np.inf, "the gradient's norm is inf"),
    )
    def test_first_bad_step_is_named(self, field, value, message):
        for bad in range(5):
            records = self.records()
            getattr(records, field)[bad:] = value
            with self.assertRaisesRegex(
                divergence.Diverged, f"at step {101 + bad} {message}"
            ):
                divergence.check_steps(records, 101, 65)

    def test_good_steps_pass(self):
        records = self.records()
        records.nats[:] = 64 * 3 * math.log(65) - 0.01
        divergence.check_steps(records, 101, 65)
        # A step may score nothing, where all characters are unknown.
        records.nats[2] = records.characters[2] = 0
        divergence.check_steps(records, 101, 65)

    def test_checkpoint_is_good_if_its_next_step_was(self):
        workdir = Workdir(pathlib.Path(self.create_tempdir().full_path))
        manager = CheckpointManager(workdir)
        for step in (3, 8, 9, 10):
            checkpoint.save(workdir.checkpoints, make_checkpoint(step))
        for back, good in ((1, 8), (2, 3), (2, 3)):
            self.assertEqual(manager.set_aside_failed(10, back), good)
        self.assertEqual(checkpoint.steps(workdir.checkpoints), [3])
        self.assertTrue((workdir.checkpoints / "9.diverged").is_dir())

    def records(self):
        def filled(value):
            return np.full(5, value, np.float32)

        others = [filled(0) for _ in StepRecords._fields[3:]]
        return StepRecords(filled(64 * 2.5), filled(64), filled(1), *others)


class StopTest(TrainingTestCase):
    def test_stops_with_the_last_good_checkpoint_and_says_where(self):
        # With 1e38 the weights after step 9 are finite still, and of no use.
        options = {**WILD, "checkpoint_every": 1}
        self.train("a", Limits(max_steps=8), **{**options, "learning_rate": 0})
        with self.assertRaisesRegex(
            UserError, r"at step 1\d the .* checkpoint is that of step (8|9):"
        ) as raised:
            self.train("a", **{**options, "learning_rate": 1e38})
        good = self.newest("a").step
        self.assertIn(f"that of step {good}:", str(raised.exception))
        # It is good: the same command with a lower rate goes on from there.
        result = self.train(
            "a", Limits(max_steps=30), **{**options, "learning_rate": 0.01}
        )
        self.assertEqual(result.step, 30)
        self.assertIn(f"from step {good}.", self.output.getvalue())

    def test_exploding_loss_stops_too(self):
        with self.assertRaisesRegex(
            UserError, "nats per character, above 10.0"
        ):
            self.train("a", **WILD)

    def test_program_says_it_in_a_sentence(self):
        trainer = ForkedTrainer(
            [
                f"--data={self.text}",
                "--learning_rate=1e38",
                "--clip_norm=0",
                "--batch_size=4",
                "--sequence_length=16",
                "--units=4",
                "--jit_compile=off",
            ],
            self.folder,
        )
        self.addCleanup(trainer.close)
        self.assertEqual(trainer.finish(), 1)
        self.assertRegex(
            trainer.text,
            r"\nerror: Training has diverged: at step \d+ the .*\.\n$",
        )
        self.assertNotIn("Traceback", trainer.text)


class RollbackTest(TrainingTestCase):
    def test_goes_back_and_on_with_a_lower_rate(self):
        limits = Limits(max_steps=60)
        result = self.train("a", limits, on_nan="rollback", **WILD)
        self.assertEqual(result.step, 60)
        newest = self.newest("a")
        rollbacks = newest.info["rollbacks"]
        self.assertBetween(rollbacks, 1, MOST_ROLLBACKS)
        self.assertIn("Going back to step", self.output.getvalue())
        history = read_history(self.folder / "a" / "history.jsonl")
        self.assertEqual(history[-1]["learning_rate"], 4.0 * 0.5**rollbacks)
        # Every step is told once, in order, and none that has failed.
        losses = self.losses("a")
        self.assertLen(losses, 60)
        self.assertLess(max(losses), 10)
        # What was interrupted again and again is the same, bit for bit.
        for questions in (3, 1, 6):
            with self.assertRaises(Interrupted):
                self.train(
                    "b",
                    limits,
                    StopsAt(questions),
                    on_nan="rollback",
                    **WILD,
                )
        self.train("b", limits, on_nan="rollback", **WILD)
        self.assertEqual(losses, self.losses("b"))
        self.assert_same_arrays(newest.weights, self.newest("b").weights)
        self.assert_same_arrays(newest.training, self.newest("b").training)
        self.assertEqual(self.newest("b").info["rollbacks"], rollbacks)

    def test_a_new_learning_rate_counts_as_given(self):
        options = {**WILD, "on_nan": "rollback"}
        self.train("a", Limits(max_steps=12), **options)
        rollbacks = self.newest("a").info["rollbacks"]
        self.assertGreater(rollbacks, 0)
        self.assertNotIn("learning rate is", self.output.getvalue())
        self.output.truncate(0)
        # The same rate is a resumed run's, and is still lowered.
        self.train("a", Limits(max_steps=14), **options)
        factor = rate_factor(rollbacks)
        self.assertIn(
            f"learning rate is 4 times {factor:g}", self.output.getvalue()
        )
        options["learning_rate"] = 0.01
        self.train("a", Limits(max_steps=16), **options)
        self.assertIn("learning rate is 0.01 as given", self.output.getvalue())
        self.assertEqual(self.newest("a").info["rollbacks"], 0)
        history = read_history(self.folder / "a" / "history.jsonl")
        rates = {line["step"]: line["learning_rate"] for line in history}
        self.assertEqual(rates[14], 4.0 * factor)
        self.assertEqual(rates[16], 0.01)

    def test_starts_again_where_no_checkpoint_is_good(self):
        options = {**WILD, "checkpoint_every": 1000, "evaluate_every": 1000}
        limits = Limits(max_steps=20)
        self.train("a", limits, on_nan="rollback", **options)
        self.assertIn("Going back to step 0 ", self.output.getvalue())
        # So does a training that has the rate to begin with.
        options["learning_rate"] *= 0.5 ** self.newest("a").info["rollbacks"]
        self.train("b", limits, **options)
        self.assertEqual(self.losses("a"), self.losses("b"))

    def test_goes_further_back_a_limited_number_of_times(self):
        self.train("a", Limits(max_steps=12), **{**WILD, "learning_rate": 0})
        directory = self.folder / "a" / "checkpoints"
        self.assertEqual(checkpoint.steps(directory), [4, 8, 12])
        options = {**WILD, "learning_rate": 1e5, "on_nan": "rollback"}
        with self.assertRaisesRegex(UserError, "after 5 rollbacks"):
            self.train("a", **options)
        output = self.output.getvalue()
        self.assertEqual(
            re.findall(r"Going back to step (\d+) ", output),
            ["12", "8", "4", "4", "4"],
        )


if __name__ == "__main__":
    absltest.main()
