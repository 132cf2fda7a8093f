"""A run that resumes: its text is the one it began with, or it says so."""

import dataclasses
import os
import pathlib
import shutil

from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.small_checkpoints import make_checkpoint
from helpers.models.trained_workdir import make_workdir
from helpers.processes.forked_trainer import ForkedTrainer

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import resuming
from kerasrnn.training.checkpoints.run_status import RunStatus
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.step.schedule import Limits

TEXT = "It is a truth universally acknowledged, that a single man. \n" * 60


class TextTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        path, *_ = make_workdir(self.folder, TEXT)
        self.text = self.folder / "text.txt"
        self.workdir = Workdir(path)
        self.saved = checkpoint.load(path / "best" / "12")
        (self.ids,) = self.workdir.corpus.glob("ids-*.bin")

    def resume(self, *data):
        """Returns the text to resume with, and what is said of it."""
        config = self.saved.config
        if data:
            fields = dataclasses.replace(config.data, data=tuple(data))
            config = dataclasses.replace(config, data=fields)
        corpus, note = resuming.resumed_corpus(self.saved, config, self.workdir)
        self.assertEqual(corpus.vocabulary.decode(corpus.ids), TEXT)
        self.assertEqual(Corpus(self.workdir.corpus).sha256, corpus.sha256)
        return note

    def test_a_text_that_is_as_it_was_needs_no_word(self):
        self.assertEqual(self.resume(), "")
        self.assertEqual(self.resume(str(self.text)), "")

    def test_it_may_have_gone(self):
        self.text.unlink()
        self.assertRegex(
            self.resume(), r"text\.txt cannot be read any more\. Resuming with"
        )

    def test_it_may_have_grown(self):
        with open(self.text, "a") as file:
            file.write("More is written to a log than was there.\n")
        note = self.resume()
        self.assertRegex(note, r"text\.txt has changed since it was read")
        # It says what to do who wants to train on all of it.
        self.assertIn(
            f"kerasrnn-train --init_from={self.workdir.path} "
            f"--data={self.text} --workdir=",
            note,
        )
        # The same file given again is the one that it was read from.
        self.assertEqual(self.resume(str(self.text)), note)

    def test_it_may_no_longer_be_text(self):
        self.text.write_bytes(b"\xff\xfe")
        self.assertIn("has changed", self.resume())

    def test_it_may_have_moved(self):
        self.text.rename(self.folder / "moved.txt")
        self.assertEqual(self.resume(str(self.folder / "moved.txt")), "")

    def test_another_text_is_refused_and_the_copy_stays(self):
        other = self.folder / "other.txt"
        other.write_text(TEXT.replace("truth", "trust"))
        before = sorted(os.listdir(self.workdir.corpus))
        with self.assertRaisesRegex(UserError, "not the one .* --init_from"):
            self.resume(str(other))
        self.assertEqual(sorted(os.listdir(self.workdir.corpus)), before)
        self.resume()

    @parameterized.parameters("gone", "cut", "changed")
    def test_a_copy_of_no_use_is_made_again(self, what):
        if what == "gone":
            shutil.rmtree(self.workdir.corpus)
        elif what == "cut":
            self.ids.write_bytes(self.ids.read_bytes()[:-1])
        else:
            # Seen where the copy is all there is to rely on.
            data = bytearray(self.ids.read_bytes())
            data[100] ^= 1
            self.ids.write_bytes(data)
            os.utime(self.text, (1, 1))
        self.assertEqual(self.resume(), "")

    def test_where_neither_is_left(self):
        shutil.rmtree(self.workdir.corpus)
        self.text.unlink()
        with self.assertRaisesRegex(UserError, "There is no file"):
            self.resume()

    def test_a_copy_of_another_text_is_not_the_models(self):
        # The same ids may stand for other characters.
        shutil.rmtree(self.workdir.corpus)
        other = self.folder / "other.txt"
        other.write_text(TEXT.translate(str.maketrans("abc", "bca")))
        build_corpus(DataConfig(data=(str(other),)), self.workdir.corpus)
        self.assertEqual(self.resume(), "")


class OtherSettingsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("training", {"init_from": "/a"}, "--init_from is not given there and"),
        ("training", {"seed": 7}, "--seed is 0 there and 7 here"),
        ("data", {"split": "interleaved"}, "--split is tail there"),
    )
    def test_a_difference_is_shown(self, part, fields, message):
        saved = Config(model=ModelConfig(vocabulary_size=5))
        changed = dataclasses.replace(getattr(saved, part), **fields)
        wanted = dataclasses.replace(saved, **{part: changed})
        resuming.check_resumable(saved, saved, "run")
        with self.assertRaisesRegex(UserError, message):
            resuming.check_resumable(saved, wanted, "run")


class SectionsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("", "\n", r"--document_separator is not given there and '\\n' here"),
        ("\n", "", r"--document_separator is '\\n' there and not given here"),
    )
    def test_sections_that_no_longer_fit_each_other(self, was, given, message):
        config = Config(
            model=ModelConfig(vocabulary_size=5, separator_id=int(bool(was))),
            data=DataConfig(document_separator=was),
        )
        saved = dataclasses.replace(make_checkpoint(3), config=config)
        workdir = Workdir(pathlib.Path("run"))
        data = {"document_separator": given}
        with self.assertRaisesRegex(UserError, message):
            resuming.resumed_config(saved, workdir, data, {}, {})


class FinishedTest(parameterized.TestCase):
    """What a run that is over is asked for, and what follows."""

    @parameterized.parameters(
        ({}, {}, "--max_steps=40 is reached"),
        ({"max_steps": 30}, {}, "--max_steps=30 is reached"),
        ({"max_steps": 41}, {}, ""),
        ({"max_steps": 0}, {}, ""),
        ({"max_steps": 0}, {"epochs": 4}, "all 4 epochs are done"),
        ({}, {"epochs": 4}, "all 4 epochs are done"),
        ({"max_steps": 41}, {"epochs": 4}, "all 4 epochs are done"),
        ({"max_steps": 0, "minutes": 1.0}, {"epochs": 9}, "--minutes=1 is"),
        ({"max_steps": 0, "minutes": 2.0}, {"epochs": 9}, ""),
        ({"max_steps": 41}, {"patience": 3}, "3 validations in a row"),
        ({"max_steps": 41}, {"patience": 4}, ""),
        ({}, {"learning_rate": 1.0, "keep": 9}, "--max_steps=40 is reached"),
    )
    def test_only_what_asks_for_more_goes_on(self, limits, training, reason):
        saved = self.finished()
        training = dataclasses.replace(saved.config.training, **training)
        config = dataclasses.replace(saved.config, training=training)
        limits = Limits(**{"max_steps": 40, **limits})
        found = resuming.limits_reached(saved, config, limits)
        self.assertStartsWith(next(iter(found.values()), ""), reason)
        self.assertEqual(bool(found), bool(reason))
        # With more of just what it names, the run resumes.
        more = {
            "--epochs": ("training", "epochs", 99),
            "--patience": ("training", "patience", 99),
            "--max_steps": ("limits", "max_steps", 99),
            "--minutes": ("limits", "minutes", 99.0),
        }
        for flag in found:
            part, name, value = more[flag]
            if part == "limits":
                limits = dataclasses.replace(limits, **{name: value})
            else:
                training = dataclasses.replace(config.training, **{name: value})
                config = dataclasses.replace(config, training=training)
        self.assertEmpty(resuming.limits_reached(saved, config, limits))
        # One that was interrupted at its last step has not been validated.
        unfinished = dataclasses.replace(
            saved, info={**saved.info, "finished": ""}
        )
        config = dataclasses.replace(config, training=training)
        limits = Limits(max_steps=1)
        self.assertEmpty(resuming.limits_reached(unfinished, config, limits))

    @parameterized.parameters((1.0, True), (0.5, True), (1.1, False))
    def test_its_minutes_end_a_little_sooner(self, minutes, is_over):
        # What follows the last step is to be over by then, too.
        saved = self.finished()
        info = {
            "elapsed": 55.0,
            "finished": "--minutes=1 is reached",
            "limits": {"max_steps": 0, "minutes": 1.0},
        }
        saved = dataclasses.replace(saved, info={**saved.info, **info})
        training = dataclasses.replace(saved.config.training, epochs=9)
        config = dataclasses.replace(saved.config, training=training)
        found = resuming.limits_reached(saved, config, Limits(minutes=minutes))
        reason = f"--minutes={minutes:g} is reached"
        self.assertEqual(found, {"--minutes": reason} if is_over else {})

    def finished(self):
        """Returns one that is over: 40 steps of 5 epochs of 9, in 70 s."""
        folder = pathlib.Path(self.create_tempdir().full_path)
        path, *_ = make_workdir(folder, TEXT)
        saved = checkpoint.load(path / "best" / "12")
        training = dataclasses.replace(saved.config.training, epochs=5)
        status = RunStatus(step=40, elapsed=70.0, stale=3)
        info = {"steps_per_epoch": 9, "finished": "it is"}
        return dataclasses.replace(
            saved,
            step=40,
            config=dataclasses.replace(saved.config, training=training),
            info={**status.to_dict(), **info},
        )


class ProgramTest(absltest.TestCase):
    SMALL = (
        "--workdir=workdir",
        "--cell=simple_rnn",
        "--units=4",
        "--num_layers=1",
        "--batch_size=4",
        "--sequence_length=16",
        "--sample_length=0",
        "--jit_compile=off",
        "--validation_fraction=0",
    )

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        (self.folder / "text.txt").write_text(TEXT)

    def train(self, *arguments):
        trainer = ForkedTrainer(arguments, self.folder)
        self.addCleanup(trainer.close)
        self.assertEqual(trainer.finish(), 0, trainer.text)
        return trainer.text

    def test_finished_twice_then_on_without_its_text(self):
        command = (*self.SMALL, "--data=text.txt", "--max_steps=13")
        self.train(*command)
        workdir = self.folder / "workdir"
        before = {
            path: path.read_bytes()
            for path in workdir.rglob("*")
            if path.is_file() and path.name != "lock"
        }
        shown = self.train(*command)
        self.assertIn("workdir is trained already: --max_steps=13", shown)
        self.assertIn("To resume it, give a larger --max_steps.", shown)
        self.assertNotIn("TensorFlow", shown)
        for path, data in before.items():
            self.assertEqual(path.read_bytes(), data, path)
        # The log that it learns from has been rotated away meanwhile.
        (self.folder / "text.txt").unlink()
        self.assertIn("is trained already", self.train(*command))
        shown = self.train(*command[:-1], "--max_steps=20")
        self.assertIn("text.txt cannot be read any more. Resuming", shown)
        self.assertIn("Resuming from step 13.", shown)
        self.assertIn("Finished: --max_steps=20 is reached", shown)


if __name__ == "__main__":
    absltest.main()
