"""One training in a working directory at a time, old directories among them."""

import json
import os
import pathlib
import shutil

import numpy as np
from absl.testing import absltest
from helpers.processes.forked_trainer import ForkedTrainer
from helpers.sources.repository import ROOT

from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints.load_model import load_model
from kerasrnn.training.records.history import read_history

GOLDEN = ROOT / "tests" / "data" / "golden_workdir"
TEXT = "It is a truth universally acknowledged, that a single man. \n" * 60


def losses(path):
    """Returns each step's loss in a history."""
    return [x for line in read_history(path) for x in line.get("losses", ())]


class WorkdirTestCase(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def start(self, *arguments):
        """Starts a training in `workdir`."""
        trainer = ForkedTrainer(["--workdir=workdir", *arguments], self.folder)
        self.addCleanup(trainer.close)
        return trainer


class TwoTrainingsTest(WorkdirTestCase):
    def test_second_training_is_refused_and_names_the_first(self):
        (self.folder / "text.txt").write_text(TEXT)
        arguments = (
            "--data=text.txt",
            "--units=8",
            "--batch_size=4",
            "--sequence_length=16",
            "--epochs=100000",
            "--jit_compile=off",
        )
        first = self.start(*arguments)
        first.wait_for("Starting TensorFlow")
        second = self.start(*arguments)
        self.assertEqual(second.finish(), 1)
        self.assertRegex(
            second.text,
            rf"(?m)^error: Another run \(process {first.pid} on .*\) is "
            r"using workdir\. ",
        )
        self.assertTrue(first.is_alive())
        # However the first one ends, the next can begin.
        first.kill()
        third = self.start(*arguments, "--max_steps=1")
        self.assertEqual(third.finish(), 0, third.text)


class ChosenAgainTest(WorkdirTestCase):
    def test_a_run_that_goes_on_longer_chooses_its_dropout_again(self):
        (self.folder / "text.txt").write_text(TEXT)
        first, _ = self.finish("--data=text.txt", "--max_steps=3")
        longer, text = self.finish("--max_steps=300")
        self.assertIn("Chosen by rule: --dropout=", text)
        self.assertGreater(longer, first)
        given, text = self.finish("--max_steps=301", "--dropout=0.4")
        self.assertEqual(given, 0.4)
        self.assertNotIn("--dropout=", text)
        kept, text = self.finish("--max_steps=600")
        self.assertEqual(kept, 0.4)
        self.assertNotIn("--dropout=", text)

    def test_a_given_value_that_the_rule_would_choose_stays(self):
        (self.folder / "text.txt").write_text(TEXT)
        chosen, _ = self.finish("--data=text.txt", "--max_steps=3")
        shutil.rmtree(self.folder / "workdir")
        options = ("--data=text.txt", "--max_steps=3", f"--dropout={chosen}")
        self.finish(*options, "--patience=10")
        longer, text = self.finish("--max_steps=300", "--epochs=100")
        self.assertEqual(longer, chosen)
        self.assertNotIn("--dropout=", text)
        self.assertNotIn("--patience=", text)

    def finish(self, *arguments):
        """Runs a training; returns its dropout, and what it printed."""
        sizes = ("--units=8", "--batch_size=4", "--sequence_length=16")
        trainer = self.start(*sizes, "--jit_compile=off", *arguments)
        self.assertEqual(trainer.finish(), 0, trainer.text)
        config = json.loads((self.folder / "workdir/config.json").read_text())
        return config["model"]["dropout"], trainer.text


class GoldenTest(WorkdirTestCase):
    """Directories that older versions have made, kept in the repository."""

    def setUp(self):
        super().setUp()
        shutil.copytree(GOLDEN / "workdir", self.folder / "workdir")
        shutil.copy(GOLDEN / "text.txt", self.folder)

    def test_older_directory_resumes(self):
        # The text has moved since, so that its path is another one.
        trainer = self.start("--data=text.txt", "--max_steps=40")
        self.assertEqual(trainer.finish(), 0, trainer.text)
        self.assertIn("Resuming from step 24.", trainer.text)
        expected = losses(GOLDEN / "expected_history.jsonl")
        actual = losses(self.folder / "workdir" / "history.jsonl")
        self.assertLen(expected, 40)
        # Steps before 24 are the older version's own.
        self.assertEqual(actual[:24], expected[:24])
        np.testing.assert_allclose(actual, expected, rtol=1e-4)
        # So are the newest weights, for whoever evaluates or exports.
        path = finding.find(self.folder / "workdir", "latest").path
        self.assertEqual(path.name, "40")

    def test_older_directory_is_read(self):
        model, vocabulary, config, info = load_model(
            self.folder / "workdir", "latest"
        )
        self.assertEqual(info["step"], 24)
        self.assertEqual(config.model.units, 6)
        self.assertEqual(model.config.vocabulary_size, len(vocabulary))

    def test_another_text_is_refused_and_nothing_changes(self):
        text = (self.folder / "text.txt").read_text()
        (self.folder / "text.txt").write_text(text.replace("truth", "trust"))
        before = sorted(os.listdir(self.folder / "workdir" / "corpus"))
        trainer = self.start("--data=text.txt")
        self.assertEqual(trainer.finish(), 1)
        self.assertRegex(
            trainer.text,
            "(?m)^error: The text is not the one .*--data; .*--init_from",
        )
        self.assertEqual(
            sorted(os.listdir(self.folder / "workdir" / "corpus")), before
        )


if __name__ == "__main__":
    absltest.main()
