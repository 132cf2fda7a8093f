"""Tests of checkpoints: whole, verified, and trusting nobody."""

import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.full_counts import FULL
from helpers.models.small_checkpoints import FILES
from helpers.models.small_checkpoints import edit_manifest
from helpers.models.small_checkpoints import make_checkpoint
from helpers.sources.repository import ROOT

from kerasrnn.config import DataConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation import files
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints import manager
from kerasrnn.training.checkpoints.load_model import load_model


class CheckpointTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def test_round_trip_is_exact(self):
        saved = make_checkpoint(17)
        path = checkpoint.save(self.folder, saved)
        self.assertEqual(path, self.folder / "17")
        self.assertCountEqual(os.listdir(path), FILES)
        loaded = checkpoint.load(path)
        for field in ("step", "config", "vocabulary", "info"):
            self.assertEqual(getattr(loaded, field), getattr(saved, field))
        for field in ("weights", "training"):
            expected, actual = getattr(saved, field), getattr(loaded, field)
            self.assertEqual(list(expected), list(actual))
            for name, array in expected.items():
                self.assertEqual(array.tobytes(), actual[name].tobytes())
                self.assertEqual(array.shape, actual[name].shape)

    def test_what_is_saved_can_be_loaded(self):
        saved = make_checkpoint(17)

        def with_paths(count):
            data = DataConfig(data=["p" * 62] * count)
            return dataclasses.replace(
                saved, config=dataclasses.replace(saved.config, data=data)
            )

        fits, too_many = 1, 2**15
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            try:
                with_paths(middle)
                fits = middle
            except UserError as error:
                self.assertIn("'folder/*.txt'", str(error))
                too_many = middle
        # The last one that fits fills what is read.
        path = checkpoint.save(self.folder, with_paths(fits))
        size = (path / "config.json").stat().st_size
        self.assertBetween(size, 2**20 - 100, 2**20)
        self.assertEqual(checkpoint.load(path).config, with_paths(fits).config)
        # Another path in the configuration counts as well.
        config = with_paths(fits).config
        with self.assertRaisesRegex(UserError, "are ever read"):
            dataclasses.replace(
                config, training=TrainingConfig(init_from="p" * 100)
            )

    def test_what_could_not_be_loaded_is_not_saved(self):
        info = {"text": "a" * 2**24}
        with self.assertRaisesRegex(UserError, "info.json is larger than"):
            checkpoint.save(
                self.folder, dataclasses.replace(make_checkpoint(17), info=info)
            )
        self.assertEqual(os.listdir(self.folder), [])

    def test_latest_is_the_largest_number(self):
        for step in (9, 100, 20):
            checkpoint.save(self.folder, make_checkpoint(step))
        (self.folder / "0101").mkdir()
        (self.folder / ".tmp-200-1").mkdir()
        self.assertEqual(finding.load_latest(self.folder).step, 100)
        manager.keep_newest(self.folder, 2)
        self.assertEqual(checkpoint.steps(self.folder), [20, 100])
        manager.keep_only(self.folder, 20)
        self.assertEqual(checkpoint.steps(self.folder), [20])

    def test_a_link_that_leads_nowhere_is_passed_over(self):
        checkpoint.save(self.folder, make_checkpoint(9))
        for step, target in ((12, "missing"), (13, "13")):
            (self.folder / str(step)).symlink_to(target)
        found = finding.newest_intact(self.folder)
        self.assertEqual(found.checkpoint.step, 9)
        self.assertCountEqual(found.damaged, [12, 13])
        found = finding.best_intact(self.folder)
        self.assertEqual(found.checkpoint.step, 9)

    def test_nothing_there(self):
        self.assertIsNone(finding.load_latest(self.folder))
        self.assertIsNone(finding.load_latest(self.folder / "missing"))

    def test_saving_again_replaces(self):
        checkpoint.save(self.folder, make_checkpoint(5, size=3))
        checkpoint.save(self.folder, make_checkpoint(5, size=4))
        loaded = checkpoint.load(self.folder / "5")
        self.assertLen(loaded.training["weights"], 4)
        self.assertEqual(os.listdir(self.folder), ["5"])

    def test_kill_while_saving_loses_nothing(self):
        program = textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = [{str(ROOT / "tests")!r}, {str(ROOT)!r}]
            from kerasrnn.training.checkpoints import checkpoint, manager
            from helpers.models.small_checkpoints import make_checkpoint
            step = 0
            while True:
                step += 1
                checkpoint.save(sys.argv[1], make_checkpoint(step, 300_000))
                print(step, flush=True)
                manager.keep_newest(sys.argv[1], 2)
            """
        )
        draws = random.Random(0)
        for trial in range(100 if FULL else 4):
            folder = self.folder / str(trial)
            process = subprocess.Popen(
                [sys.executable, "-c", program, str(folder)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(draws.randrange(1, 4)):
                finished = int(process.stdout.readline())
            # Somewhere in the writing of the next one.
            while draws.random() < 0.7 and process.poll() is None:
                if any(folder.glob(".tmp-*/*.npz")):
                    break
            process.send_signal(signal.SIGKILL)
            rest = process.communicate()[0].split()
            finished = max([finished, *map(int, rest)])
            latest = finding.load_latest(folder)
            self.assertGreaterEqual(latest.step, finished)
            files.sweep(folder)
            self.assertLessEqual(len(os.listdir(folder)), 3)

    def test_directory_that_cannot_be_written(self):
        (self.folder / "file").write_text("")
        with self.assertRaisesRegex(UserError, "Could not write"):
            checkpoint.save(self.folder / "file", make_checkpoint(1))

    def test_other_format_is_refused(self):
        path = checkpoint.save(self.folder, make_checkpoint(1))
        edit_manifest(path, format=2)
        with self.assertRaisesRegex(UserError, "another version of kerasrnn"):
            checkpoint.load(path)

    def test_model_is_loaded_with_its_weights(self):
        from kerasrnn.training.step.flat_weights import initial_weights

        sample = make_checkpoint(3)
        layout, weights = initial_weights(sample.config.model, seed=5)
        saved = checkpoint.Checkpoint(
            step=3,
            config=sample.config,
            vocabulary=sample.vocabulary,
            weights=layout.unpack(weights),
            info={"best_loss": 1.5},
        )
        checkpoint.save(self.folder / "checkpoints", saved)
        for which in ("best", "latest"):
            model, vocabulary, config, info = load_model(self.folder, which)
            self.assertEqual(vocabulary, sample.vocabulary)
            self.assertEqual(config, sample.config)
            self.assertEqual(info, {"step": 3, "best_loss": 1.5})
            flat = np.concatenate([v.numpy().ravel() for v in model.weights])
            np.testing.assert_array_equal(flat, weights)

    def test_weights_that_do_not_fit_are_refused(self):
        checkpoint.save(self.folder / "best", make_checkpoint(1))
        with self.assertRaisesRegex(UserError, "do not fit the model"):
            load_model(self.folder)

    def test_no_checkpoint(self):
        with self.assertRaisesRegex(UserError, "no intact checkpoint"):
            load_model(self.folder)
        with self.assertRaisesRegex(UserError, "There is no directory"):
            load_model(self.folder / "missing")
        with self.assertRaisesRegex(UserError, "must be best or latest"):
            load_model(self.folder, "newest")


if __name__ == "__main__":
    absltest.main()
