"""Damaged checkpoints: training goes on from the one before, and says so."""

import os
import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np
from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.models.small_checkpoints import damage
from helpers.models.small_checkpoints import make_checkpoint
from helpers.models.small_checkpoints import sign
from helpers.models.small_training import TrainingTestCase
from helpers.sources.repository import ROOT

from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints.manager import CheckpointManager
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.checkpoints.workdir import locked
from kerasrnn.training.step.schedule import Limits

SEED = int(os.environ.get("KERASRNN_SEED", "0"))
MUTATIONS = 200 if FULL else 60


class DamageTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.checkpoints = self.folder / "checkpoints"

    def test_damaged_newest_falls_back_to_the_one_before(self):
        checkpoint.save(self.checkpoints, make_checkpoint(1))
        whole = checkpoint.save(self.folder / "whole", make_checkpoint(2))
        draws = random.Random(SEED)
        fallen_back = 0
        for trial in range(MUTATIONS):
            shutil.copytree(whole, self.checkpoints / "2")
            damage(self.checkpoints / "2", draws)
            with self.subTest(trial), self.assertLogs(level="WARNING") as logs:
                with locked(self.folder) as workdir:
                    newest = CheckpointManager(workdir).newest()
                    self.assertEqual(newest.step, 1)
                # One damage, one warning.
                (warning,) = logs.output
                self.assertIn("is skipped and kept as", warning)
                self.assertIn(f"{self.checkpoints / '2.damaged'}.", warning)
                # Programs that only read, and hold no lock, find it too.
                self.assertEqual(finding.find(self.folder).path.name, "1")
                fallen_back += 1
            self.assertCountEqual(
                os.listdir(self.checkpoints), ["1", "2.damaged"]
            )
        print(f"{fallen_back} of {MUTATIONS} mutations fell back.")

    def test_a_damaged_best_is_told_of_once(self):
        best = self.folder / "best"
        for step in (1, 2):
            checkpoint.save(best, make_checkpoint(step))
        for step in (2, 1):
            (best / str(step) / "weights.npz").unlink()
            with self.assertLogs(level="WARNING") as logs:
                CheckpointManager(Workdir(self.folder)).best  # noqa: B018
            (warning,) = logs.output
            self.assertIn("and kept as", warning)
        self.assertCountEqual(os.listdir(best), ["1.damaged", "2.damaged"])

    def test_a_program_says_it_in_a_sentence(self):
        for step in (1, 2):
            checkpoint.save(self.checkpoints, make_checkpoint(step))
        (self.checkpoints / "2" / "weights.npz").unlink()
        process = subprocess.run(
            [sys.executable, "-m", "kerasrnn.train", "--data=missing.txt"]
            + [f"--workdir={self.folder}"],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        warning, *others = process.stderr.splitlines()
        self.assertEqual(
            warning,
            f"warning: {self.checkpoints}/2/weights.npz is missing or not a "
            "plain file. That checkpoint is skipped and kept as "
            f"{self.checkpoints}/2.damaged.",
        )
        self.assertNotIn("damaged", "".join(others))

    def test_damaged_ones_take_no_place_of_intact_ones(self):
        for step in (10, 20, 30):
            checkpoint.save(self.checkpoints, make_checkpoint(step))
        for step in (20, 30):
            (self.checkpoints / str(step) / "weights.npz").unlink()
        with locked(self.folder) as workdir:
            manager = CheckpointManager(workdir)
            self.assertEqual(manager.newest().step, 10)
            manager.save(make_checkpoint(15, keep=1))
        self.assertEqual(checkpoint.steps(self.checkpoints), [15])
        self.assertEqual(finding.load_latest(self.checkpoints).step, 15)

    def test_where_none_is_intact_all_stay(self):
        path = checkpoint.save(self.checkpoints, make_checkpoint(10))
        (path / "weights.npz").unlink()
        with locked(self.folder) as workdir:
            with self.assertRaisesRegex(UserError, "None of the checkpoints"):
                CheckpointManager(workdir).newest()
        self.assertEqual(checkpoint.steps(self.checkpoints), [10])

    def test_killed_between_two_renames(self):
        # A checkpoint of a step that is there already takes its place.
        path = checkpoint.save(self.checkpoints, make_checkpoint(10))
        path.rename(path.with_name(".tmp-10-replaced"))
        shutil.copytree(
            path.with_name(".tmp-10-replaced"), path.with_name(".tmp-10-77")
        )
        with locked(self.folder) as workdir:
            self.assertEqual(CheckpointManager(workdir).newest().step, 10)
        self.assertEqual(os.listdir(self.checkpoints), ["10"])
        # Or the other one had come there: then that is the newer.
        shutil.copytree(path, path.with_name(".tmp-10-replaced"))
        files.sweep(self.checkpoints)
        self.assertEqual(os.listdir(self.checkpoints), ["10"])


class TrainingTest(TrainingTestCase):
    def test_training_goes_on_from_the_one_before(self):
        options = {
            "checkpoint_every": 10,
            "evaluate_every": 1000,
            "schedule": "constant",
            "warmup_steps": 0,
        }
        self.train("undisturbed", Limits(max_steps=40), **options)
        self.train("damaged", Limits(max_steps=30), **options)
        newest = self.folder / "damaged" / "checkpoints" / "30"
        damage(newest, random.Random(SEED))
        with self.assertLogs(level="WARNING") as logs:
            self.train("damaged", Limits(max_steps=40), **options)
        self.assertIn(str(newest), logs.output[0])
        self.assertIn("Resuming from step 20.", self.output.getvalue())
        self.assertEqual(self.losses("damaged"), self.losses("undisturbed"))

    def test_a_checkpoint_without_a_slot_of_the_optimizer_is_told(self):
        self.train("short", Limits(max_steps=5))
        path = self.folder / "short" / "checkpoints" / "5" / "training.npz"
        whole = files.read_arrays(path)
        tried = 0
        for name in whole:
            for shape in (None, (3,), ()):
                arrays = dict(whole)
                if shape is None:
                    del arrays[name]
                elif whole[name].shape == shape:
                    continue
                else:
                    arrays[name] = np.zeros(shape, np.float32)
                files.write_arrays(path, arrays)
                sign(path.parent)
                with self.subTest(name=name, shape=shape):
                    tried += 1
                    with self.assertRaisesRegex(
                        UserError, rf"{name}.*|recurrent states"
                    ):
                        self.train("short", Limits(max_steps=9))
        self.assertGreater(tried, 8)
        files.write_arrays(path, whole)
        sign(path.parent)
        self.train("short", Limits(max_steps=9))
        self.assertLen(self.losses("short"), 9)


if __name__ == "__main__":
    absltest.main()
