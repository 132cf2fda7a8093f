"""Trainings in this process that take no time, and what they leave."""

import io
import pathlib

import numpy as np
import rich.console
from absl.testing import absltest

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.foundation.signals import Interruption
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.checkpoints.workdir import locked
from kerasrnn.training.records.display import Display
from kerasrnn.training.records.history import read_history
from kerasrnn.training.train_and_evaluate import train_and_evaluate

TEXT = "It is a truth universally acknowledged, that a single man. \n" * 60


def make_config(corpus, model=None, data=None, **training):
    """Returns a configuration that trains in no time."""
    model = {"units": 12, "num_layers": 1, "dropout": 0.2, **(model or {})}
    training = {
        "batch_size": 4,
        "sequence_length": 16,
        "epochs": 2,
        "warmup_steps": 5,
        "sample_length": 0,
        "jit_compile": "off",
        **training,
    }
    return Config(
        model=ModelConfig(vocabulary_size=len(corpus.vocabulary), **model),
        data=data or corpus.config,
        training=TrainingConfig(**training),
    )


class StopsAt(Interruption):
    """Asks to end between calls once so many questions were asked."""

    def __init__(self, questions):
        super().__init__()
        self.questions = questions

    def check(self):
        self.questions -= 1
        if self.questions < 0:
            raise Interrupted(15)


class TrainingTestCase(absltest.TestCase):
    """Has a text to train on, in a folder of its own."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.text = self.folder / "text.txt"
        self.text.write_text(TEXT)
        self.output = io.StringIO()

    def train(
        self,
        name,
        limits=None,
        interruption=None,
        data=None,
        display=None,
        observers=(),
        **options,
    ):
        """Trains in workdir `name`, saying what the display shows."""
        data = data or DataConfig(data=(str(self.text),))
        display = display or Display(rich.console.Console(file=self.output))
        with locked(self.folder / name) as workdir, display:
            corpus = build_corpus(data, workdir.corpus)
            config = make_config(corpus, data=data, **options)
            return train_and_evaluate(
                config,
                workdir,
                corpus,
                limits=limits,
                display=display,
                observers=observers,
                interruption=interruption,
            )

    def losses(self, name):
        """Returns each step's loss."""
        history = read_history(self.folder / name / "history.jsonl")
        return [loss for line in history for loss in line.get("losses", ())]

    def newest(self, name):
        """Returns the newest intact checkpoint."""
        return finding.load_latest(self.folder / name / "checkpoints")

    def assert_same_arrays(self, first, second):
        """Checks that arrays by name are equal, bit for bit."""
        self.assertEqual(first.keys(), second.keys())
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name], name)
