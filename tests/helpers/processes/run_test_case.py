"""Processes of kerasrnn-train that train a small model on a small text."""

import pathlib

from absl.testing import absltest

from helpers.processes.forked_trainer import ForkedTrainer
from kerasrnn.training.checkpoints import finding

LINE = "It is a truth universally acknowledged, that a single man. \n"


def small_flags(**values):
    """Returns flags of a run whose steps take no time, and that never ends.

    It neither validates nor samples by itself.

    Args:
        **values: Flags to set as well, or otherwise.
    """
    flags = {
        "data": "text.txt",
        "units": 16,
        "num_layers": 1,
        "batch_size": 4,
        "sequence_length": 16,
        "epochs": 1_000_000,
        "sample_length": 0,
        "evaluate_every": 1_000_000,
        "jit_compile": "off",
    }
    return tuple(f"--{k}={v}" for k, v in {**flags, **values}.items())


class RunTestCase(absltest.TestCase):
    """Has a text to train on, in a folder of its own."""

    FLAGS = small_flags()

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.write_text(60)

    def write_text(self, lines):
        """Writes `text.txt`."""
        (self.folder / "text.txt").write_text(LINE * lines)

    def start(self, workdir, *arguments):
        """Starts a run in `workdir`."""
        trainer = ForkedTrainer(
            [f"--workdir={workdir}", *self.FLAGS, *arguments], self.folder
        )
        self.addCleanup(trainer.close)
        return trainer

    def newest(self, workdir):
        """Returns the newest intact checkpoint."""
        return finding.load_latest(self.folder / workdir / "checkpoints")
