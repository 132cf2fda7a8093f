"""The moving average of the weights: what it is, and who uses it."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from helpers.models import small_models
from kerasrnn_export.exporter import export_workdir
from kerasrnn_export.release import verify

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.model.text_generator import TextGenerator
from kerasrnn.text.batches.streams import number_of_streams
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints.workdir import locked
from kerasrnn.training.evaluation.evaluator import Evaluator
from kerasrnn.training.records.history import read_history
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.train_and_evaluate import train_and_evaluate

TEXT = "It is a truth universally acknowledged, that a single man. \n" * 30
STEPS = 15
AVERAGING = 0.6


class AveragingTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # One training, of which every step is kept.
        # A folder that stays from run to run would be gone on with.
        cls.folder = pathlib.Path(
            cls.enterClassContext(tempfile.TemporaryDirectory())
        )
        (cls.folder / "text.txt").write_text(TEXT)
        data = DataConfig(data=(str(cls.folder / "text.txt"),))
        with locked(cls.folder / "workdir") as workdir:
            corpus = build_corpus(data, workdir.corpus)
            size = len(corpus.vocabulary)
            cls.config = Config(
                model=ModelConfig(vocabulary_size=size, units=12, num_layers=1),
                data=data,
                training=TrainingConfig(
                    batch_size=4,
                    sequence_length=16,
                    learning_rate=0.05,
                    schedule="constant",
                    warmup_steps=0,
                    averaging=AVERAGING,
                    checkpoint_every=1,
                    keep=STEPS,
                    evaluate_every=STEPS,
                    sample_length=40,
                    jit_compile="off",
                ),
            )
            train_and_evaluate(
                cls.config, workdir, corpus, limits=Limits(max_steps=STEPS)
            )
        cls.workdir, cls.corpus = workdir, corpus
        counts = corpus.counts(corpus.split_ranges("train"))
        cls.layout, cls.first = initial_weights(cls.config.model, 0, counts)
        last = cls.saved(STEPS)
        cls.average = cls.layout.pack(last.weights)  # [P]
        cls.raw = last.training["weights"]  # [P]

    @classmethod
    def saved(cls, step):
        return checkpoint.load(cls.workdir.checkpoints / str(step))

    def test_checkpoints_hold_numpys_average_of_the_weights(self):
        average = self.first.astype(np.float64)
        for step in range(STEPS):
            saved = self.saved(step + 1)
            momentum = min(AVERAGING, (1 + step) / (10 + step))
            weights = saved.training["weights"]
            average = momentum * average + (1 - momentum) * weights
            actual = self.layout.pack(saved.weights)
            np.testing.assert_allclose(actual, average, atol=1e-6)
        self.assertGreater(np.abs(self.average - self.raw).max(), 0.01)

    def test_validation_is_of_the_average(self):
        (recorded,) = (
            line["validation_loss"]
            for line in read_history(self.workdir.history)
            if "validation_loss" in line
        )
        ranges = self.corpus.split_ranges("validation", 16)
        context = self.config.training.validation_context
        evaluator = Evaluator(self.config.model, self.layout, 16)
        losses = [
            evaluator(
                tf.constant(weights),
                self.corpus.ids,
                ranges,
                number_of_streams(ranges, 4, 16, context),
                context=context,
            ).loss
            for weights in (self.average, self.raw)
        ]
        self.assertEqual(recorded, losses[0])
        self.assertNotAlmostEqual(recorded, losses[1], places=3)
        best = finding.find(self.workdir.path).checkpoint
        np.testing.assert_array_equal(
            self.layout.pack(best.weights), self.average
        )

    def test_samples_are_of_the_average(self):
        written = (self.workdir.samples / f"{STEPS}.txt").read_text()
        generator = TextGenerator(self.config.model, self.corpus.vocabulary)
        texts = [
            "".join(
                chunk.text
                for chunk in generator.stream(
                    self.layout.split(tf.constant(weights)), length=40
                )
            )
            for weights in (self.average, self.raw)
        ]
        self.assertEqual(written, texts[0])
        self.assertNotEqual(written, texts[1])

    def test_export_is_of_the_average(self):
        version = export_workdir(self.workdir.path, self.folder / "export")
        text = "a single man"
        session = verify.Session(version)
        outputs = session("score", text=[text], state_bytes=[""])
        served = outputs["character_log_probs"][0]
        expected = []
        for flat in (self.average, self.raw):
            model = small_models.NumpyModel(
                self.config.model, self.layout.unpack(flat).values()
            )
            model.read(self.corpus.vocabulary.start_id)
            log_probs = []
            for token in self.corpus.vocabulary.encode(text):
                log_probs.append(model.log_probs()[token])
                model.read(token)
            expected.append(log_probs)
        np.testing.assert_allclose(served, expected[0], atol=1e-4)
        self.assertGreater(np.abs(served - expected[1]).max(), 0.01)


if __name__ == "__main__":
    absltest.main()
