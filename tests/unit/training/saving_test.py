"""What is saved stays saved, and nothing worse takes the place of the best."""

import dataclasses
import json
import pathlib
import shutil
import threading
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.small_checkpoints import make_checkpoint
from helpers.models.small_training import StopsAt
from helpers.models.small_training import TrainingTestCase
from helpers.models.trained_workdir import make_workdir

from kerasrnn.errors import UserError
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.foundation.signals import Interruption
from kerasrnn.training import run
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints.finding import Best
from kerasrnn.training.checkpoints.finding import read_best
from kerasrnn.training.checkpoints.manager import CheckpointManager
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.records.history import read_history
from kerasrnn.training.settings import Request
from kerasrnn.training.step.schedule import Limits

OPTIONS = {
    "evaluate_every": 1000,
    "schedule": "constant",
    "warmup_steps": 0,
    "averaging": 0.0,
    "model": {"units": 4, "cell": "simple_rnn"},
}


def contents(folder):
    """Returns the bytes of all files below a folder, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in pathlib.Path(folder).rglob("*")
        if path.is_file() and path.name != "lock"
    }


class StopsAfterShown(Interruption):
    """Asks to end once something is shown."""

    def __init__(self, output, text):
        super().__init__()
        self._output, self._text = output, text

    def check(self):
        if self._text in self._output.getvalue():
            raise Interrupted(15)


class StoryTest(TrainingTestCase):
    """One working directory, and all that may befall it."""

    def setUp(self):
        super().setUp()
        self.workdir = self.folder / "a"

    def run_to(self, step, **options):
        """Trains to a step; returns the result and what was shown."""
        self.output.seek(0)
        self.output.truncate()
        result = self.train("a", Limits(max_steps=step), **OPTIONS, **options)
        # Whatever was before, every step stands in the history once.
        count = 0
        for line in read_history(self.workdir / "history.jsonl"):
            count += len(line.get("losses", ()))
            self.assertEqual(count, line["step"])
        self.assertEqual(count, step)
        return result, self.output.getvalue()

    def best(self):
        return read_best(self.workdir / "best")

    def test_story(self):
        with self.assertRaises(Interrupted):
            self.train("a", interruption=StopsAt(2), **OPTIONS)
        self.assertEqual(self.newest("a").step, 2)
        self.assertIsNone(self.best())

        # The step is saved already, but its validation is not.
        options = {**OPTIONS, "evaluate_every": 2}
        with self.assertRaises(Interrupted):
            ending = StopsAfterShown(self.output, "validation loss")
            self.train("a", interruption=ending, **options)
        info = self.newest("a").info
        self.assertEqual((info["step"], info["validated"]), (2, 2))
        self.assertEqual(self.best(), Best(2, info["best_loss"]))

        # Nor is it saved that this is the end.
        self.run_to(2)
        info = self.newest("a").info
        self.assertEqual(info["finished"], "--max_steps=2 is reached")

        # A run that came further than its newest checkpoint, which is lost.
        self.run_to(13)
        best = self.best()
        self.assertEqual(best.step, 13)
        weights = (self.workdir / "best/13/weights.npz").read_bytes()
        shutil.rmtree(self.workdir / "checkpoints" / "13")
        result, shown = self.run_to(4, learning_rate=1e-3)
        self.assertIn("Resuming from step 2.", shown)
        # For all that this training remembers, its validation was the best.
        info = self.newest("a").info
        self.assertEqual(info["best_step"], 4)
        self.assertGreater(info["best_loss"], best.loss)
        self.assertNotIn("the best so far", shown)
        self.assertEqual((result.best_step, result.best_loss), (13, best.loss))
        self.assertEqual(checkpoint.steps(self.workdir / "best"), [13])
        self.assertEqual(
            (self.workdir / "best/13/weights.npz").read_bytes(), weights
        )
        config = json.loads((self.workdir / "config.json").read_text())
        self.assertEqual(config["training"]["learning_rate"], 1e-3)

        # Where the best is deleted, whatever comes next is the best.
        shutil.rmtree(self.workdir / "best")
        result, shown = self.run_to(5, learning_rate=0.0)
        self.assertIn("the best so far", shown)
        self.assertEqual(self.best(), Best(5, result.best_loss))

    def test_time_that_is_over_is_saved(self):
        # At the last step everything is saved before the time is looked at.
        options = {**OPTIONS, "checkpoint_every": 1}
        result = self.train("a", Limits(minutes=1e-6), **options)
        info = self.newest("a").info
        self.assertEqual(info["finished"], result.reason)
        self.assertGreaterEqual(info["elapsed"], 60e-6)


def validated_checkpoint(step):
    """Returns one whose loss is the lower the later it is."""
    saved = make_checkpoint(step, size=200_000)
    loss = {"validated": step, "validation_loss": 5.0 - step / 1000}
    return dataclasses.replace(saved, info={**saved.info, **loss})


class ReplacedTest(absltest.TestCase):
    """A program reads while a run replaces what it reads."""

    def test_readers_always_find_the_best(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        manager = CheckpointManager(Workdir(folder))
        first = validated_checkpoint(1)
        manager.save(first)
        manager.save_best(first)
        found, over = [], threading.Event()

        def read():
            while not over.is_set():
                found.append(finding.find(folder).path)

        with self.assertNoLogs(level="WARNING"):
            reader = threading.Thread(target=read)
            reader.start()
            for step in range(2, 150):
                manager.save_best(validated_checkpoint(step))
            over.set()
            reader.join()
        self.assertNotEmpty(found)
        self.assertEqual({path.parent.name for path in found}, {"best"})


class BestTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.best = self.folder / "best"

    def make(self, step, loss):
        made = make_checkpoint(step)
        made.info.update(validated=step, validation_loss=loss)
        return made

    def test_of_several_the_lowest_loss_counts(self):
        # As if a process had been killed between saving and removing.
        for step, loss in ((10, 1.5), (30, 1.4), (40, 1.6)):
            checkpoint.save(self.best, self.make(step, loss))
        self.assertEqual(finding.find(self.folder).path, self.best / "30")
        manager = CheckpointManager(Workdir(self.folder))
        self.assertEqual(manager.best, Best(30, 1.4))
        self.assertEqual(checkpoint.steps(self.best), [30])
        manager.save_best(self.make(50, 1.4))
        self.assertEqual(manager.best, Best(30, 1.4))
        manager.save_best(self.make(20, 1.3))
        self.assertEqual(manager.best, Best(20, 1.3))
        self.assertEqual(read_best(self.best), Best(20, 1.3))
        self.assertEqual(checkpoint.steps(self.best), [20])

    def test_a_loss_of_another_step_or_of_no_number_is_none(self):
        for loss, step in ((1.5, 9), ("1.5", 10), (float("nan"), 10)):
            made = make_checkpoint(10)
            made.info.update(validated=step, validation_loss=loss)
            self.assertEqual(finding.recorded_loss(made), float("inf"))

    def test_damaged_ones_are_set_aside(self):
        path = checkpoint.save(self.best, self.make(10, 1.5))
        (path / "weights.npz").write_bytes(b"")
        with self.assertLogs(level="WARNING"):
            best = CheckpointManager(Workdir(self.folder)).best
        self.assertIsNone(best)
        self.assertEqual([p.name for p in self.best.iterdir()], ["10.damaged"])

    def test_damaged_ones_beside_an_intact_one_can_be_repaired(self):
        checkpoint.save(self.best, self.make(10, 1.5))
        path = checkpoint.save(self.best, self.make(30, 1.4))
        weights = (path / "weights.npz").read_bytes()
        (path / "weights.npz").write_bytes(b"")
        with self.assertLogs(level="WARNING"):
            best = CheckpointManager(Workdir(self.folder)).best
        self.assertEqual(best, Best(10, 1.5))
        aside = self.best / "30.damaged"
        self.assertCountEqual(self.best.iterdir(), [self.best / "10", aside])
        (aside / "weights.npz").write_bytes(weights)
        aside.rename(path)
        best = CheckpointManager(Workdir(self.folder)).best
        self.assertEqual(best, Best(30, 1.4))
        self.assertEqual(list(self.best.iterdir()), [path])


class OneLoadTest(TrainingTestCase):
    """A start reads the newest checkpoint, however large, once."""

    def test_a_start_loads_the_newest_checkpoint_once(self):
        self.train("a", Limits(max_steps=2), **OPTIONS)
        loaded = []

        def load(path):
            loaded.append(pathlib.Path(path).parent.name)
            return checkpoint_load(path)

        checkpoint_load = checkpoint.load
        self.enter_context(mock.patch.object(checkpoint, "load", load))
        for max_steps in (2, 5):
            loaded.clear()
            request = Request(
                workdir=str(self.folder / "a"),
                data={},
                model={},
                training={},
                limits={"max_steps": max_steps},
            )
            run.train(request, Interruption(), {})
            self.assertEqual(loaded.count("checkpoints"), 1, max_steps)
            self.assertLessEqual(loaded.count("best"), 1)
        self.assertEqual(self.newest("a").step, 5)


class ModelIsLeftTest(parameterized.TestCase):
    """A directory that holds a model is never begun anew."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.workdir, _, config, _ = make_workdir(self.folder, "to be. " * 50)
        best = checkpoint.load(self.workdir / "best" / "12")
        (self.workdir / "config.json").write_text(config.to_json())
        (self.workdir / "vocabulary.json").write_text(best.vocabulary.to_json())
        (self.workdir / "history.jsonl").write_text('{"step": 10}\n')

    @parameterized.product(
        removed=([], ["best"], ["best", "history.jsonl", "corpus"]),
        data=("text.txt", "other.txt", None),
    )
    def test_without_its_checkpoints(self, removed, data):
        for name in removed:
            path = self.workdir / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.folder / "other.txt").write_text("or not to be? " * 50)
        before = contents(self.workdir)
        self.assertNotEmpty(before)
        request = Request(
            workdir=str(self.workdir),
            data={"data": (str(self.folder / data),)} if data else {},
            model={},
            training={},
            limits={"max_steps": 1},
        )
        with self.assertRaisesRegex(
            UserError, "but no checkpoint to resume from, .*, delete"
        ):
            run.train_as_chief(request, Interruption())
        self.assertEqual(contents(self.workdir), before)


if __name__ == "__main__":
    absltest.main()
