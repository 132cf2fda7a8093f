"""What a clock decides in a training, and what it must not decide."""

import dataclasses
import shutil
import types

from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.small_training import TEXT
from helpers.models.small_training import StopsAt
from helpers.models.small_training import TrainingTestCase

from kerasrnn.config import TrainingConfig
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.clock import RunClock
from kerasrnn.training.records.history import read_history
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.step.schedule import Plan
from kerasrnn.training.step.schedule import learning_rate
from kerasrnn.training.step.steps_per_call import StepsPerCall


def make_plan(steps_per_epoch=100, limits=None, **training):
    """Returns a plan of steps of 2,500 characters."""
    return Plan(
        TrainingConfig(**training), steps_per_epoch, limits or Limits(), True
    )


class PlanTest(parameterized.TestCase):
    @parameterized.parameters(
        # Steps an epoch, held out, flags: those of published figures.
        (423, 57_500, {}),
        (423, 57_500, {"evaluate_every": 1000}),
        (2360, 310_000, {"evaluate_every": 500}),
        (360, 111_540, {}),
        # And what a split of the usual size costs.
        (100, 25_000, {}),
        (10**6, 10**9, {"validation_cost": 0.0}),
    )
    def test_all_is_read_where_it_costs_little(self, epoch, held_out, flags):
        plan = make_plan(epoch, **flags)
        step = plan.evaluate_every
        self.assertEqual(plan.validation_sample(step, held_out), 0)

    @parameterized.parameters(0.01, 0.1, 1.0)
    def test_a_sample_costs_its_share_of_the_steps(self, cost):
        plan = make_plan(validation_cost=cost)
        for step in (100, 1000, 15_000):
            characters = plan.validation_sample(step, 10**9)
            self.assertAlmostEqual(
                plan.steps_worth(characters), max(cost * step, 4 / 3), places=2
            )

    def test_before_the_first_step(self):
        for limits, expected in (
            (Limits(), 100 * 2500 * 3 // 10),
            (Limits(max_steps=50), 50 * 2500 * 3 // 10),
            # How many steps there will be is not known: 60 a minute.
            (Limits(minutes=1.0), 60 * 2500 * 3 // 10),
            (Limits(minutes=0.01), 4 * 2500),
            (Limits(minutes=60.0), 100 * 2500 * 3 // 10),
        ):
            plan = make_plan(limits=limits)
            self.assertEqual(plan.validation_sample(0, 10**9), expected)

    @parameterized.parameters(
        # Step, whether it is a while ago, flags, whether a sample is due.
        (100, True, {}, True),
        (100, False, {}, False),
        (101, True, {}, False),
        (100, False, {"evaluate_every": 50}, True),
        (100, False, {"sample_every": 50}, True),
        (100, False, {"sample_every": 70}, False),
    )
    def test_samples(self, step, is_time, flags, expected):
        plan = make_plan(**flags)
        self.assertEqual(plan.sample_is_due(step, False, is_time), expected)
        self.assertTrue(plan.sample_is_due(step, True, is_time))
        silent = dataclasses.replace(plan.config, sample_length=0)
        plan = dataclasses.replace(plan, config=silent)
        self.assertFalse(plan.sample_is_due(step, True, True))

    def test_without_flags_checkpoints_are_left_to_the_clock(self):
        plan = make_plan()
        self.assertFalse(plan.checkpoint_is_due(100, False))
        self.assertTrue(plan.checkpoint_is_due(100, True))
        for flag in ("checkpoint_every", "evaluate_every"):
            plan = make_plan(**{flag: 30})
            self.assertTrue(plan.checkpoint_is_due(90, False))
            self.assertFalse(plan.checkpoint_is_due(100, False))


class RunClockTest(parameterized.TestCase):
    def clock(self, plan=None, held_out=250_000, calls=(), **state):
        """Returns the clock of a run that is as far as `state` says."""
        steps_per_call = StepsPerCall()
        for count, seconds in calls:
            steps_per_call.update(count, seconds)
        self.state = types.SimpleNamespace(
            **{
                "elapsed": 50.0,
                "seconds_unsaved": 0.0,
                "save_seconds": 0.0,
                "status": RunStatus(step=100),
                **state,
            }
        )
        return RunClock(
            plan or make_plan(), held_out, self.state, steps_per_call
        )

    @parameterized.parameters(
        (59.0, 0.0, {}, False),
        (61.0, 0.0, {}, True),
        (61.0, 1.0, {}, True),
        # Saving takes a fiftieth of the time at most.
        (61.0, 2.0, {}, False),
        (101.0, 2.0, {}, True),
        (61.0, 0.0, {"evaluate_every": 10**6}, True),
        (61.0, 0.0, {"checkpoint_every": 10**6}, False),
        (601.0, 0.0, {"checkpoint_every": 10**6}, True),
    )
    def test_checkpoints(self, unsaved, save_seconds, flags, expected):
        clock = self.clock(
            make_plan(**flags),
            seconds_unsaved=unsaved,
            save_seconds=save_seconds,
        )
        self.assertEqual(clock.checkpoint_is_due(), expected)
        self.assertEqual(clock.read(0).checkpoint_is_due, expected)

    def test_the_first_sample_does_not_wait(self):
        clock = self.clock()
        self.assertTrue(clock.read(0).sample_is_due)
        with clock.timing("sample"):
            pass
        self.assertFalse(clock.is_time_for("sample"))
        self.assertTrue(clock.is_time_for("another"))

    def test_what_it_takes_to_end_is_known_before_it_is_tried(self):
        # 100 steps of 0.5 s: a tenth of 50 s, a graph, and a checkpoint.
        status = RunStatus(step=100, seconds_per_step=0.5)
        clock = self.clock(
            held_out=10**9,
            calls=[(1, 7.0)],
            status=status,
            save_seconds=2.0,
        )
        self.assertAlmostEqual(clock.elapsed_at_the_end(), 50 + 5 + 7 + 2)
        # Where it is fixed what a validation reads, that counts.
        status.validation_sample = 15_000
        self.assertAlmostEqual(clock.elapsed_at_the_end(), 50 + 1 + 7 + 2)
        # What was measured is better than an estimate.
        with clock.timing("validation"):
            pass
        self.assertLess(clock.elapsed_at_the_end(), 50 + 2 + 1)

    def test_without_validation_there_is_none_to_wait_for(self):
        plan = dataclasses.replace(make_plan(), validates=False)
        clock = self.clock(plan, held_out=0, calls=[(1, 7.0)])
        self.assertEqual(clock.elapsed_at_the_end(), 50.0)


class ValidationSampleTest(TrainingTestCase):
    """A held-out text that is longer than what validation may cost."""

    OPTIONS = {
        "evaluate_every": 2,
        "schedule": "constant",
        # No more than 4 batches of 4 times 16 characters.
        "validation_cost": 0.001,
        "validation_context": 0,
    }

    def setUp(self):
        super().setUp()
        self.text.write_text(TEXT * 4)  # 720 characters are held out

    def test_each_run_validates_the_same_sample(self):
        self.train("whole", Limits(max_steps=6), **self.OPTIONS)
        with self.assertRaises(Interrupted):
            self.train(
                "resumed", Limits(max_steps=6), StopsAt(9), **self.OPTIONS
            )
        self.train("resumed", Limits(max_steps=6), **self.OPTIONS)
        expected, actual = map(self.validations, ("whole", "resumed"))
        self.assertEqual(expected, actual)
        self.assertLen(actual, 3)
        for line in actual:
            # The first character of each stream is only read.
            self.assertEqual(line["validation_characters"], 4 * 63)
            self.assertEqual(line["held_out_characters"], 720)
        self.assertIn(
            "tail split (252 of 720 characters)", self.output.getvalue()
        )
        self.assertEqual(self.newest("whole").info["validation_sample"], 256)

    def test_contexts_are_part_of_what_it_costs(self):
        options = {**self.OPTIONS, "validation_context": 16}
        self.train("a", Limits(max_steps=4), **options)
        for line in self.validations("a"):
            # Of the 256 characters, read as 4 streams, a quarter is context.
            self.assertEqual(line["validation_characters"], 4 * (64 - 16))
            self.assertEqual(line["held_out_characters"], 720)
        # All of it, where that costs no more than is allowed.
        options = {**options, "validation_context": 100, "validation_cost": 1.0}
        options["evaluate_every"] = 7
        self.train("b", Limits(max_steps=7), **options)
        (line,) = self.validations("b")
        self.assertEqual(line["validation_characters"], 720)
        self.assertIsNone(line["held_out_characters"])

    def test_the_sample_is_saved_before_the_best(self):
        # Lest a run that resumes compares losses of different samples.
        options = {**self.OPTIONS, "checkpoint_every": 1000}
        with self.assertRaises(Interrupted):
            self.train("a", Limits(max_steps=6), StopsAt(6), **options)
        best = finding.load_best(self.folder / "a" / "best")
        self.assertEqual(best.info["validation_sample"], 256)
        self.assertEqual(self.newest("a").info["validation_sample"], 256)

    def test_an_older_checkpoint_has_validated_all(self):
        self.train("a", Limits(max_steps=2), **self.OPTIONS)
        older = dict(self.newest("a").info)
        del older["validation_sample"]
        self.assertEqual(RunStatus.from_dict(older).validation_sample, 0)
        older["validation_loss"] = None
        self.assertIsNone(RunStatus.from_dict(older).validation_sample)

    def validations(self, name):
        return [
            {
                key: line.get(key)
                for key in (
                    "step",
                    "validation_loss",
                    "validation_characters",
                    "held_out_characters",
                )
            }
            for line in read_history(self.folder / name / "history.jsonl")
            if "validation_loss" in line
        ]


class MinutesTest(TrainingTestCase):
    """A schedule that is fitted to the time survives a restart."""

    def test_the_rate_does_not_jump(self):
        # Minute 5 of 10, after 40 steps; older checkpoints have no pace.
        self.train("a", Limits(max_steps=40), epochs=1000)
        saved = self.newest("a")
        for seconds_per_step, steps_left in ((5.0, 60), (None, 40)):
            info = {**saved.info, "elapsed": 300.0}
            del info["seconds_per_step"]
            if seconds_per_step:
                info["seconds_per_step"] = seconds_per_step
            checkpoint.save(
                self.folder / "a" / "checkpoints",
                dataclasses.replace(saved, info=info),
            )
            self.assert_rate_is_that_of(saved, steps_left)

    def assert_rate_is_that_of(self, saved, steps_left):
        """Resumes, and looks at the learning rate of the first step."""
        with self.assertRaises(Interrupted):
            self.train("a", Limits(minutes=10.0), StopsAt(2), epochs=1000)
        newest = finding.load_latest(self.folder / "a" / "checkpoints")
        self.assertGreater(newest.step, saved.step)
        rate = newest.info["pending"][0][-1]
        steps_per_epoch = saved.info["steps_per_epoch"]
        # Some time goes by until the first step.
        shortest, longest = (
            learning_rate(
                saved.config.training, saved.step, steps_per_epoch, steps
            )
            for steps in (
                saved.step + steps_left // 2,
                saved.step + steps_left,
            )
        )
        self.assertBetween(rate, shortest, longest)
        shutil.rmtree(self.folder / "a" / "checkpoints" / str(newest.step))

    def test_small_texts_show_no_more_than_one_a_minute(self):
        self.train("a", epochs=30, sample_length=9)
        shown = self.output.getvalue().count("validation loss")
        samples = list((self.folder / "a" / "samples").iterdir())
        lines = read_history(self.folder / "a" / "history.jsonl")
        validated = sum("validation_loss" in line for line in lines)
        # Each is made, which no clock may decide.
        self.assertEqual(validated, 30)
        minutes = self.newest("a").info["elapsed"] / 60
        self.assertBetween(shown, 2, 2 + minutes)
        self.assertBetween(len(samples), 2, 2 + minutes)


if __name__ == "__main__":
    absltest.main()
