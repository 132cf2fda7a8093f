"""Tests of the training loop, most of them by training."""

import dataclasses
import math

from absl.testing import absltest
from helpers.models.small_training import TEXT
from helpers.models.small_training import StopsAt
from helpers.models.small_training import TrainingTestCase

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints.load_model import load_model
from kerasrnn.training.records.history import read_history
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.step.schedule import Limits


class LoopTest(TrainingTestCase):
    def test_resumed_training_equals_undisturbed_training(self):
        # jit_compile is "auto" here: what people run.
        options = {
            "evaluate_every": 23,
            "jit_compile": "auto",
            "model": {"num_layers": 2},
        }
        limits = Limits(max_steps=60)
        self.train("undisturbed", limits, **options)
        for questions in (2, 4):
            with self.assertRaises(Interrupted):
                self.train("resumed", limits, StopsAt(questions), **options)
        result = self.train("resumed", limits, **options)
        self.assertEqual(result.step, 60)
        losses = self.losses("undisturbed")
        self.assertLen(losses, 60)
        self.assertEqual(losses, self.losses("resumed"))
        expected, actual = self.newest("undisturbed"), self.newest("resumed")
        self.assert_same_arrays(expected.weights, actual.weights)
        self.assert_same_arrays(expected.training, actual.training)
        for name, value in expected.info.items():
            if name not in ("elapsed", "seconds_per_step"):
                self.assertEqual(value, actual.info[name], name)
        validations = [
            [
                (line["step"], line["validation_loss"])
                for line in read_history(self.folder / name / "history.jsonl")
                if "validation_loss" in line
            ]
            for name in ("undisturbed", "resumed")
        ]
        self.assertEqual(validations[0], validations[1])
        self.assertEqual([23, 46, 60], [step for step, _ in validations[0]])

    def test_learns(self):
        result = self.train("a", epochs=20, learning_rate=0.02)
        losses = self.losses("a")
        self.assertLess(losses[-1], 0.6 * losses[0])
        self.assertLess(result.best_loss, 0.6 * losses[0])
        self.assertEqual(result.reason, "all 20 epochs are done")
        self.assertIn("validation loss", self.output.getvalue())

    def test_finished_training_stays_as_it_is(self):
        self.train("a", Limits(max_steps=5))
        before = self.newest("a")
        result = self.train("a", Limits(max_steps=5))
        self.assertEqual(result.step, 5)
        self.assert_same_arrays(before.training, self.newest("a").training)
        self.assertLen(self.losses("a"), 5)

    def test_more_epochs_go_on(self):
        self.train("a", epochs=1)
        result = self.train("a", epochs=2)
        self.assertEqual(result.reason, "all 2 epochs are done")
        self.assertLen(self.losses("a"), result.step)

    def test_best_checkpoint_is_that_of_the_lowest_validation_loss(self):
        self.train("a", epochs=4, evaluate_every=7, learning_rate=0.1)
        history = read_history(self.folder / "a" / "history.jsonl")
        validations = {
            line["step"]: line["validation_loss"]
            for line in history
            if "validation_loss" in line
        }
        best = min(validations, key=validations.get)
        self.assertEqual(checkpoint.steps(self.folder / "a" / "best"), [best])
        _, _, _, info = load_model(self.folder / "a", "best")
        self.assertEqual(info["step"], best)
        self.assertEqual(info["best_loss"], validations[best])

    def test_keeps_the_newest_checkpoints(self):
        self.train("a", Limits(max_steps=30), checkpoint_every=6, keep=2)
        self.assertEqual(
            checkpoint.steps(self.folder / "a" / "checkpoints"), [24, 30]
        )

    def test_patience_ends_training(self):
        result = self.train(
            "a", evaluate_every=2, patience=2, learning_rate=0.0, epochs=9
        )
        self.assertEqual(result.step, 6)
        self.assertIn("2 validations in a row did not improve", result.reason)
        again = self.train(
            "a", evaluate_every=2, patience=2, learning_rate=0.0, epochs=9
        )
        self.assertEqual(again.step, 6)

    def test_a_resumed_training_knows_which_was_the_best(self):
        options = {"evaluate_every": 2, "learning_rate": 0.0}
        self.train("a", Limits(max_steps=4), **options)
        result = self.train("a", Limits(max_steps=8), **options)
        self.assertEqual(result.best_step, 2)
        self.assertEqual(self.newest("a").info["stale"], 3)

    def test_loss_that_is_not_finite_ends_training(self):
        options = {"checkpoint_every": 5, "schedule": "constant"}
        self.train("a", Limits(max_steps=10), **options)
        with self.assertRaisesRegex(UserError, "step 1[0-9] the .* step 10:"):
            self.train("a", learning_rate=1e38, clip_norm=0.0, **options)
        self.assertEqual(self.newest("a").step, 10)
        result = self.train("a", Limits(max_steps=12), **options)
        self.assertEqual(result.step, 12)

    def test_time_limit_ends_training(self):
        result = self.train("a", Limits(minutes=1e-6), epochs=1000)
        self.assertIn("--minutes", result.reason)
        self.assertGreaterEqual(result.step, 1)
        self.assertEqual(self.newest("a").info["validated"], result.step)

    def test_without_validation_text(self):
        data = DataConfig(data=(str(self.text),), validation_fraction=0.0)
        result = self.train("a", Limits(max_steps=13), data=data)
        self.assertIsNone(result.best_loss)
        self.assertLen(self.losses("a"), 13)
        load_model(self.folder / "a", "best")

    def test_writes_samples_and_scalars(self):
        self.train("a", Limits(max_steps=12), sample_length=20)
        sample = (self.folder / "a" / "samples" / "12.txt").read_text()
        self.assertLen(sample, 20)
        self.assertIn(sample, self.output.getvalue())
        from tensorboard.backend.event_processing import event_accumulator

        events = event_accumulator.EventAccumulator(
            str(self.folder / "a" / "logs")
        )
        events.Reload()
        steps = [event.step for event in events.Scalars("loss")]
        self.assertEqual(steps, [10, 12])

    def test_a_line_of_history_has_all_that_is_recorded(self):
        options = {"schedule": "constant", "clip_norm": 0.0}
        self.train("a", Limits(max_steps=25), evaluate_every=20, **options)
        lines = read_history(self.folder / "a" / "history.jsonl")
        self.assertEqual([line["step"] for line in lines], [10, 20, 25])
        for line, steps in zip(lines, (10, 10, 5), strict=True):
            self.assertLen(line["losses"], steps)
            mean = sum(line["losses"]) / steps
            self.assertAlmostEqual(line["loss"], mean, places=5)
            bits = line["loss"] / math.log(2)
            self.assertAlmostEqual(line["bits"], bits, places=5)
            self.assertAlmostEqual(line["learning_rate"], 4e-3)
            self.assertGreater(line["gradient_norm"], 0)
            self.assertGreater(line["characters_per_second"], 0)
        self.assertGreater(lines[1]["validation_loss"], 0)
        self.assertEqual(lines[1]["split"], "tail")
        self.assertNotIn("validation_loss", lines[0])

    def test_an_observer_is_told_everything_in_order(self):
        told = []

        class Listener(Observer):
            def started(self, status):
                told.append(("started", status.step))

            def line_ended(self, line):
                told.append(("line", line["step"]))

            def validated(self, validation):
                told.append(("validated", validation.step, validation.is_best))

            def sampled(self, step, text):
                told.append(("sampled", step, len(text)))

            def saving(self):
                told.append("saving")

            def close(self):
                told.append("closed")

        options = {"evaluate_every": 5, "sample_length": 7}
        self.train("a", Limits(max_steps=5), observers=[Listener()], **options)
        events = [
            ("started", 0),
            ("line", 5),
            "saving",  # a checkpoint, and then the best one
            ("validated", 5, True),
            ("sampled", 5, 7),
            "saving",
            "saving",
            "closed",
        ]
        self.assertEqual(told, events)
        told.clear()
        self.train("a", Limits(max_steps=6), observers=[Listener()], **options)
        self.assertEqual(told[:2], [("started", 5), ("line", 6)])

    def test_another_text_is_refused(self):
        self.train("a", Limits(max_steps=2))
        self.text.write_text(TEXT.replace("truth", "trutt"))
        with self.assertRaisesRegex(UserError, "text is not the one"):
            self.train("a")

    def test_other_settings_are_refused_with_the_difference(self):
        self.train("a", Limits(max_steps=2))
        with self.assertRaisesRegex(
            UserError, "--units is 12 there and 13 here"
        ):
            self.train("a", model={"units": 13})
        with self.assertRaisesRegex(UserError, "--batch_size is 4 there"):
            self.train("a", batch_size=2)
        self.train("a", Limits(max_steps=3), learning_rate=1e-4)

    def test_averages_may_be_switched_on_and_off(self):
        self.train("a", Limits(max_steps=3), averaging=0.0)
        self.train("a", Limits(max_steps=5), averaging=0.9)
        self.train("a", Limits(max_steps=7), averaging=0.0)
        self.assertLen(self.losses("a"), 7)

    def test_momentum_may_be_switched_on_and_off(self):
        options = {"optimizer": "sgd", "learning_rate": 0.1}
        for step, momentum in ((3, 0.0), (5, 0.9), (7, 0.0)):
            limits = Limits(max_steps=step)
            self.train("a", limits, beta_1=momentum, **options)
        self.assertLen(self.losses("a"), 7)

    def test_interleaved_split_and_other_cells(self):
        data = DataConfig(
            data=(str(self.text),),
            split="interleaved",
            split_streams=4,
            validation_fraction=0.2,
        )
        for cell in ("gru", "simple_rnn"):
            result = self.train(
                cell,
                Limits(max_steps=3),
                data=data,
                model={"cell": cell, "embedding_size": 3},
            )
            self.assertIsNotNone(result.best_loss)

    def test_too_short_text_is_refused(self):
        with self.assertRaisesRegex(UserError, "--batch_size"):
            self.train("a", batch_size=1000)

    def test_damaged_checkpoints_are_never_trained_over(self):
        self.train("a", Limits(max_steps=2))
        checkpoints = self.folder / "a" / "checkpoints"
        (checkpoints / "2" / "training.npz").unlink()
        with self.assertRaisesRegex(UserError, "None of the checkpoints"):
            self.train("a")


class ConfigTest(absltest.TestCase):
    def test_limits_are_checked(self):
        with self.assertRaises(UserError):
            Limits(max_steps=-1)
        with self.assertRaises(UserError):
            Limits(minutes=float("nan"))
        self.assertEqual(
            dataclasses.asdict(Limits()), {"max_steps": 0, "minutes": 0.0}
        )


if __name__ == "__main__":
    absltest.main()
