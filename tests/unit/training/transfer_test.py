"""Tests of --init_from: another model's weights, character by character."""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from helpers.models.trained_workdir import make_workdir
from helpers.sources.repository import ROOT

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import build_corpus
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints import warm_start
from kerasrnn.training.checkpoints.workdir import locked
from kerasrnn.training.records.history import read_history
from kerasrnn.training.records.report import write_report
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.train_and_evaluate import train_and_evaluate

OLD_TEXT = "\n abcdefgh.é€Ж🙂" * 9
NEW_TEXT = "\n abdfhxyzüЖ" * 9  # 8 characters of the old text, 4 others
NEW = set("xyzü")


def log_probs(config, weights, vocabulary, text):
    """Returns log p [length + 1, V] by NumPy, and each column's character."""
    model = small_models.NumpyModel(config, weights)
    rows = [model.log_probs()]
    for token in vocabulary.encode(text):
        model.read(token)
        rows.append(model.log_probs())
    return np.array(rows)


class RemappedWeightsTest(parameterized.TestCase):
    @parameterized.product(
        cell=("simple_rnn", "lstm", "gru"), embedding_size=(0, 5)
    )
    def test_shared_characters_keep_their_relative_probabilities(
        self, cell, embedding_size
    ):
        old = Vocabulary.from_text(OLD_TEXT)
        new = Vocabulary.from_text(NEW_TEXT)
        options = {"cell": cell, "embedding_size": embedding_size}
        config = small_models.make_config(old, **options)
        source = small_models.random_weights(config)
        new_config = small_models.make_config(new, **options)
        layout, initial = initial_weights(new_config, seed=3)
        mapping = warm_start.remapping(old, new)
        self.assertEqual(str(mapping), "8 characters kept, 4 new, 7 dropped")
        weights = warm_start.remapped_weights(
            dict(zip(layout.names, source, strict=True)),
            layout.unpack(initial),
            mapping,
        )
        layout.pack(weights)  # of the right names and shapes
        shared = [c for c in old.characters if c in new.characters]
        random = np.random.default_rng(0)
        text = "".join(random.choice(shared, size=60))
        before = log_probs(config, source, old, text)
        after = log_probs(new_config, weights.values(), new, text)
        before = before[:, old.encode("".join(shared))]
        after = after[:, new.encode("".join(shared))]
        # Relative: what each has of the shared characters' probability.
        before -= np.log(np.exp(before).sum(axis=1, keepdims=True))
        mass = np.log(np.exp(after).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(after - mass, before, atol=1e-9)
        # New characters are possible, but take no more than the bound.
        self.assertLess(mass.max(), -1e-3)
        bound = math.log(1 + len(NEW) / len(shared))
        self.assertGreaterEqual(mass.min(), -bound - 1e-9)

    def test_new_characters_are_read_as_fresh_ones(self):
        old = Vocabulary.from_text(OLD_TEXT)
        new = Vocabulary.from_text(NEW_TEXT)
        config = small_models.make_config(new)
        layout, initial = initial_weights(config, seed=3)
        initial = layout.unpack(initial)
        old_weights = small_models.random_weights(small_models.make_config(old))
        source = dict(zip(layout.names, old_weights, strict=True))
        weights = warm_start.remapped_weights(
            source, initial, warm_start.remapping(old, new)
        )
        kernel = layout.names[0]
        for character, index in zip(
            NEW_TEXT, new.encode(NEW_TEXT), strict=True
        ):
            if character in NEW:
                expected = initial[kernel][index]
            else:
                expected = source[kernel][old.encode(character)[0]]
            np.testing.assert_array_equal(weights[kernel][index], expected)
        np.testing.assert_array_equal(weights[kernel][0], source[kernel][0])

    def test_nothing_in_common(self):
        old, new = Vocabulary.from_text("abc"), Vocabulary.from_text("xyz")
        mapping = warm_start.remapping(old, new)
        self.assertEqual(str(mapping), "0 characters kept, 3 new, 3 dropped")
        config = small_models.make_config(new)
        layout, initial = initial_weights(config, seed=3)
        initial = layout.unpack(initial)
        source = small_models.random_weights(small_models.make_config(old))
        weights = warm_start.remapped_weights(
            dict(zip(layout.names, source, strict=True)), initial, mapping
        )
        name = layout.names[-2]
        np.testing.assert_array_equal(
            weights[name][:, 1:], initial[name][:, 1:]
        )

    def test_another_kind_is_refused(self):
        old = Vocabulary.from_text("abc", "bytes")
        with self.assertRaisesRegex(UserError, "--vocabulary=bytes"):
            warm_start.remapping(old, Vocabulary.from_text("abc"))


class TrainingTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        (self.folder / "old").mkdir()
        self.source, *_ = make_workdir(self.folder / "old", OLD_TEXT)
        self.text = self.folder / "new.txt"
        self.text.write_text(NEW_TEXT)

    def train(self, steps, validation_fraction=0.0):
        """Trains at learning rate 0: the weights stay those of the start."""
        data = DataConfig(
            data=(str(self.text),), validation_fraction=validation_fraction
        )
        with locked(self.folder / "new") as workdir:
            corpus = build_corpus(data, workdir.corpus)
            model = ModelConfig(
                vocabulary_size=len(corpus.vocabulary), units=8, num_layers=2
            )
            training = TrainingConfig(
                batch_size=4,
                sequence_length=8,
                learning_rate=0.0,
                weight_decay=0.0,
                averaging=0.0,
                sample_length=0,
                jit_compile="off",
                init_from=str(self.source),
            )
            config = Config(model=model, data=data, training=training)
            train_and_evaluate(
                config, workdir, corpus, limits=Limits(max_steps=steps)
            )
            return finding.load_latest(workdir.checkpoints)

    def test_training_starts_there_and_goes_on_without_it(self):
        trained = self.train(steps=1)
        source = finding.find(self.source).checkpoint
        mapping = warm_start.remapping(source.vocabulary, trained.vocabulary)
        for name, weight in trained.weights.items():
            if "recurrent" in name or name.endswith("_1/lstm_cell/kernel"):
                np.testing.assert_array_equal(weight, source.weights[name])
        bias = list(trained.weights)[-1]
        np.testing.assert_array_equal(
            trained.weights[bias][mapping.kept_to],
            source.weights[bias][mapping.kept_from],
        )
        shutil.rmtree(self.source)
        resumed = self.train(steps=2)
        self.assertEqual(resumed.step, 2)
        for name, weight in trained.weights.items():
            np.testing.assert_array_equal(weight, resumed.weights[name])

    def test_what_it_began_from_is_the_first_best(self):
        self.train(steps=11, validation_fraction=0.2)
        best = checkpoint.load(self.folder / "new" / "best" / "0")
        source = finding.find(self.source).checkpoint
        name = "lstm_0/lstm_cell/recurrent_kernel"
        np.testing.assert_array_equal(best.weights[name], source.weights[name])
        lines = read_history(self.folder / "new" / "history.jsonl")
        losses = {
            line["step"]: line["validation_loss"]
            for line in lines
            if "validation_loss" in line
        }
        # No step was better.
        self.assertEqual(min(losses.values()), losses[0])
        self.assertEqual(max(losses), 11)
        self.assertEqual(best.info["validation_loss"], losses[0])
        # It is validated once, and its report can be drawn.
        trained = self.train(steps=12, validation_fraction=0.2)
        self.assertEqual(trained.step, 12)
        steps = [
            line["step"]
            for line in read_history(self.folder / "new" / "history.jsonl")
        ]
        self.assertEqual(steps, [0, *sorted(set(steps) - {0})])
        page = write_report(self.folder / "new").read_text()
        self.assertIn("at step 0", page)

    def test_no_model_there(self):
        shutil.rmtree(self.source)
        with self.assertRaisesRegex(UserError, "There is no directory"):
            self.train(steps=1)


class ProgramTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.source, *_ = make_workdir(self.folder, OLD_TEXT)
        self.text = self.folder / "new.txt"
        self.text.write_text(NEW_TEXT)

    def run_program(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "kerasrnn.train", f"--data={self.text}"]
            + list(arguments),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def test_dropout_rises_anew(self):
        """By the new text, unless a rate or the warm-up is given."""
        source = Config(
            model=ModelConfig(
                vocabulary_size=9, dropout=0.2, dropout_warmup_steps=700
            )
        )
        for given, expected in (
            ({}, (0.2, None)),
            ({"dropout": 0.4}, (0.4, 0)),
            ({"dropout_warmup_steps": 5}, (0.2, 5)),
            ({"dropout": 0.4, "dropout_warmup_steps": 5}, (0.4, 5)),
        ):
            fields = warm_start.model_fields(source, given)
            found = fields["dropout"], fields.get("dropout_warmup_steps")
            self.assertEqual(found, expected)

    def test_takes_the_network_over(self):
        process = self.run_program(
            "--init_from=workdir",
            "--workdir=new",
            "--dropout=0.4",
            "--batch_size=4",
            "--sequence_length=8",
            "--max_steps=1",
            "--validation_fraction=0",
            "--sample_length=0",
            "--jit_compile=off",
        )
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn("Starting from step 12 of", process.stdout)
        self.assertIn("8 characters kept, 4 new, 7 dropped", process.stdout)
        config = json.loads((self.folder / "new/config.json").read_text())
        self.assertEqual(config["model"]["units"], 8)
        self.assertEqual(config["model"]["dropout"], 0.4)
        self.assertEqual(
            config["training"]["init_from"], str(self.folder / "workdir")
        )
        # Another source is refused once there is a model.
        process = self.run_program("--init_from=elsewhere", "--workdir=new")
        self.assertEqual(process.returncode, 1)
        self.assertIn("--init_from is", process.stderr)

    def test_mistakes_are_told_before_tensorflow_starts(self):
        for flags, message in (
            (["--units=9"], "--units is 8 there and 9 here"),
            (["--vocabulary=bytes"], "give --vocabulary=characters"),
            (["--workdir=workdir"], "are both"),
        ):
            process = self.run_program(
                "--init_from=workdir", "--workdir=other", *flags
            )
            self.assertEqual(process.returncode, 1)
            self.assertIn(message, process.stderr)
            self.assertNotIn("Starting TensorFlow", process.stdout)


if __name__ == "__main__":
    absltest.main()
