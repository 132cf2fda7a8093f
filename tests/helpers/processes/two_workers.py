"""Two workers of kerasrnn-train: real processes over loopback."""

import pathlib
import time

from absl.testing import absltest

from helpers.processes.forked_trainer import ForkedTrainer
from helpers.processes.tf_configs import tf_configs
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.records.history import read_history

TEXT = "It is a truth universally acknowledged, that a single man. \n" * 60
SECONDS_TO_NOTICE = 60

SMALL = (
    "--data=text.txt",
    "--units=16",
    "--num_layers=1",
    "--batch_size=8",
    "--sequence_length=8",
    "--epochs=100000",
    # By themselves these follow from where a run is to end.
    "--schedule=constant",
    "--weight_decay=0.01",
    "--learning_rate=0.012",
    "--warmup_steps=0",
    "--dropout=0.2",
    "--recurrent_kernel_dropout=0.2",
    "--dropout_warmup_steps=8",
    "--evaluate_every=40",
    "--checkpoint_every=10",
    "--sample_length=5",
    "--jit_compile=off",
)


class MultiWorkerTestCase(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        (self.folder / "text.txt").write_text(TEXT)

    def start_one(self, workdir, *arguments, **variables):
        trainer = ForkedTrainer(
            [f"--workdir={workdir}", *SMALL, *arguments], self.folder, variables
        )
        self.addCleanup(trainer.close)
        return trainer

    def cluster(self, size=2):
        """Returns a function that starts a worker, by its index."""
        configs = tf_configs(size)

        def start(index, workdir, *arguments):
            return self.start_one(workdir, *arguments, TF_CONFIG=configs[index])

        return start

    def start(self, workdir, *arguments, followers=()):
        """Starts two workers in a workdir; returns the chief and the other."""
        start = self.cluster()
        return [
            start(0, workdir, *arguments),
            start(1, workdir, *arguments, *followers),
        ]

    def train(self, workdir, *arguments):
        """Trains on two workers to the end; returns the chief's output."""
        workers = self.start(workdir, *arguments)
        statuses = [worker.finish() for worker in workers]
        texts = "\n---\n".join(worker.text for worker in workers)
        self.assertEqual(statuses, [0, 0], texts)
        return texts

    def newest(self, workdir):
        return finding.load_latest(self.folder / workdir / "checkpoints")

    def losses(self, workdir):
        history = read_history(self.folder / workdir / "history.jsonl")
        return [loss for line in history for loss in line.get("losses", ())]

    def assert_survivor_ends(self, survivor):
        """Checks that it ends in time, with a message and a status."""
        started = time.monotonic()
        self.assertEqual(survivor.finish(SECONDS_TO_NOTICE), 1, survivor.text)
        print(f"the survivor ended after {time.monotonic() - started:.1f} s")
        self.assertIn("error: ", survivor.text)
        self.assertIn("is gone", survivor.text)
        self.assertIn("Start all workers again", survivor.text)
        self.assertNotIn("Traceback", survivor.text)
