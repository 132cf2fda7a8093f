"""The history has each step once, in order, whatever ends a run."""

import copy
import os
import pathlib
import random

import numpy as np
from absl.testing import absltest
from helpers.full_counts import FULL

from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.evaluation.loss_units import Evaluation
from kerasrnn.training.records.history import History
from kerasrnn.training.records.history import read_history
from kerasrnn.training.records.history import short
from kerasrnn.training.records.lines import HistoryLines
from kerasrnn.training.records.observers import Observers
from kerasrnn.training.records.tensorboard import TensorBoard
from kerasrnn.training.step.trainer import StepRecords

SEED = int(os.environ.get("KERASRNN_SEED", "0"))
TRAININGS = 1000 if FULL else 30
STEPS_PER_EPOCH = 7


def loss(step):
    """The loss of a step, for ever the same."""
    return short(2.0 + 1 / step)


class Run:
    """A process that trains, as far as its records are concerned.

    Args:
        workdir: Where its history is.
        checkpoint: The status to resume from.
    """

    def __init__(self, workdir, checkpoint):
        # As a file has it: what this run does to it changes no checkpoint.
        self.status = RunStatus.from_dict(copy.deepcopy(checkpoint))
        self.observers = Observers(
            [History(workdir.history), TensorBoard(workdir.logs)]
        )
        self.observers.started(self.status)
        self.lines = HistoryLines(self.status, STEPS_PER_EPOCH, self.observers)

    def advance(self, count):
        """Makes steps in one call."""
        status = self.status
        steps = range(status.step + 1, status.step + count + 1)
        losses = np.array([loss(step) for step in steps], np.float32)
        ones, zeros = np.ones_like(losses), np.zeros_like(losses)
        others = [zeros for _ in StepRecords._fields[3:]]
        records = StepRecords(losses, ones, ones, *others)
        first, status.step = status.step, status.step + count
        self.lines.add_steps(first, records, [0.1] * count, 99.0)

    def validate(self):
        """Validates, unless this step is."""
        if self.status.is_validated:
            return
        result = Evaluation(1.5 * 100, 100)
        self.status.take_validation(result.loss)
        self.lines.add_validation("tail", result)

    def save(self):
        """Returns what a checkpoint says."""
        self.observers.saving()
        return copy.deepcopy(self.status.to_dict())


class RecorderTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.create_tempdir().full_path)
        self.draws = random.Random(SEED)
        self.workdir = Workdir(folder)

    def test_any_mixture_of_ends_has_each_step_once(self):
        for trial in range(TRAININGS):
            self.workdir.history.unlink(missing_ok=True)
            with self.subTest(trial):
                saved = RunStatus().to_dict()
                for _ in range(self.draws.randrange(1, 9)):
                    saved = self.train(saved)
                self.assert_has_each_step_once(Run(self.workdir, saved))

    def train(self, saved):
        """Does as a process does; returns the newest checkpoint."""
        run = Run(self.workdir, saved)
        self.assert_has_each_step_once(run)
        for _ in range(self.draws.randrange(12)):
            what = self.draws.choice(("advance", "advance", "validate", "save"))
            if what == "advance":
                run.advance(self.draws.randrange(1, 25))
            elif what == "validate":
                run.validate()
            else:
                saved = run.save()
            self.assert_has_each_step_once(run)
        end = self.draws.choice(
            ("killed", "cut off", "saved", "finished", "killed as it finished")
        )
        if "finished" in end:
            run.lines.finish()
            self.assert_has_each_step_once(run, is_finished=True)
        if end in ("saved", "finished"):
            saved = run.save()
        run.observers.close()
        if end == "cut off":
            # A line that is not yet synced, lost with the machine's power.
            with open(self.workdir.history, "a") as file:
                file.write('{"step": 99999, "losses": [1.')
        return saved

    def test_the_speed_is_left_out_until_it_is_known(self):
        run = Run(self.workdir, RunStatus().to_dict())
        run.advance(10)
        saved = run.save()
        run.validate()
        # The first ends the line of the steps before; the second has none.
        for go_on in (lambda run: run.advance(1), Run.validate):
            run = Run(self.workdir, saved)
            go_on(run)
            (line,) = read_history(self.workdir.history)
            self.assertEqual(line["step"], 10)
            self.assertNotIn("characters_per_second", line)
            run.advance(11)
            line = read_history(self.workdir.history)[-1]
            self.assertEqual(line["step"], 20)
            self.assertEqual(line["characters_per_second"], 99.0)

    def assert_has_each_step_once(self, run, is_finished=False):
        lines = read_history(self.workdir.history)
        recorded = []
        validated = []
        for line in lines:
            recorded += line.get("losses", [])
            self.assertLen(recorded, line["step"])
            speed = line.get("characters_per_second", 99.0)
            self.assertEqual(speed, 99.0)
            if "validation_loss" in line:
                validated.append(line["step"])
        steps = [line["step"] for line in lines]
        self.assertEqual(steps, sorted(set(steps)))
        self.assertEqual(validated, sorted(set(validated)))
        waiting = [nats for nats, *_ in run.status.pending]
        if is_finished:
            waiting = []
        expected = [loss(step + 1) for step in range(run.status.step)]
        self.assertEqual(recorded + waiting, expected)


if __name__ == "__main__":
    absltest.main()
