"""Tests of kerasrnn-train on two workers: real processes over loopback."""

import json
import os
import pathlib
import signal
import socket
import time

import numpy as np
from absl.testing import absltest
from forked_trainer import ForkedTrainer

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training import checkpoint
from kerasrnn.training.briefing import wait_for_corpus
from kerasrnn.training.history import read_history

FULL = bool(os.environ.get("KERASRNN_FULL"))
TEXT = "It is a truth universally acknowledged, that a single man. \n" * 60
SECONDS_TO_NOTICE = 60

SMALL = (
    "--data=text.txt",
    "--units=16",
    "--num_layers=1",
    "--batch_size=8",
    "--sequence_length=8",
    "--epochs=100000",
    "--schedule=constant",
    "--warmup_steps=0",
    "--dropout=0.2",
    "--evaluate_every=40",
    "--checkpoint_every=10",
    "--sample_length=5",
    "--jit_compile=off",
)


class MultiWorkerTest(absltest.TestCase):
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

    def start(self, workdir, *arguments, followers=()):
        """Starts two workers in a workdir; returns the chief and the other."""
        addresses = [f"127.0.0.1:{port}" for port in _free_ports(2)]
        workers = []
        for index in range(2):
            config = {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
            more = followers if index else ()
            workers.append(
                self.start_one(
                    workdir, *arguments, *more, TF_CONFIG=json.dumps(config)
                )
            )
        return workers

    def train(self, workdir, *arguments):
        """Trains on two workers to the end; returns the chief's output."""
        workers = self.start(workdir, *arguments)
        statuses = [worker.finish() for worker in workers]
        texts = "\n---\n".join(worker.text for worker in workers)
        self.assertEqual(statuses, [0, 0], texts)
        return texts

    def newest(self, workdir):
        return checkpoint.load(
            checkpoint.latest(self.folder / workdir / "checkpoints")
        )

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

    def test_lost_workers_cost_nothing(self):
        # One that is asked to end: all save the same step.
        chief, other = self.start("disturbed")
        chief.wait_for("step 40: validation loss")
        other.send_signal(signal.SIGTERM)
        for worker in (chief, other):
            self.assertEqual(worker.finish(), 143, worker.text)
            self.assertIn("Saved. Run the same command again", worker.text)
        saved = self.newest("disturbed").step
        self.assertGreaterEqual(saved, 40)

        # One that is killed, then the chief: the other one ends by itself.
        for victim in (1, 0):
            workers = self.start("disturbed")
            line = workers[0].wait_for("Going on from step")
            self.assertGreaterEqual(_number(line), saved)
            for _ in range(2):  # with checkpoints between them
                workers[0].wait_for("--- sample after step")
            workers[victim].kill()
            self.assert_survivor_ends(workers[1 - victim])
            self.assertGreater(self.newest("disturbed").step, saved)
            saved = self.newest("disturbed").step

        # Started again they come to the end of an undisturbed training, and
        # that is the end of a training in one process.
        limit = f"--max_steps={saved + 15}"
        self.train("disturbed", limit)
        self.train("undisturbed", limit)
        losses = self.losses("undisturbed")
        self.assertLen(losses, saved + 15)
        self.assertEqual(self.losses("disturbed"), losses)
        disturbed, undisturbed = (
            self.newest(name) for name in ("disturbed", "undisturbed")
        )
        # The states of both workers' streams are among these arrays.
        self.assertEqual(disturbed.training["state_0"].shape, (8, 16))
        for name, array in undisturbed.training.items():
            np.testing.assert_array_equal(disturbed.training[name], array, name)

        # All know that there is nothing left to do.
        self.assertIn("is trained already", self.train("disturbed", limit))

        # One process goes on where two have been, and comes to where one
        # comes that was always alone.
        for workdir in ("disturbed", "alone"):
            alone = self.start_one(
                workdir, f"--max_steps={saved + 25}", "--strategy=one_device"
            )
            self.assertEqual(alone.finish(), 0, alone.text)
        np.testing.assert_allclose(
            self.losses("disturbed"), self.losses("alone"), atol=1e-4
        )
        self.assertLen(self.losses("alone"), saved + 25)

    def test_flags_that_differ(self):
        chief, other = self.start("workdir", followers=("--units=17",))
        self.assertEqual(other.finish(SECONDS_TO_NOTICE), 1)
        self.assertIn("--units is 17 here and 16 there", other.text)
        self.assert_survivor_ends(chief)

    def test_a_mistake_of_the_chief_ends_all(self):
        chief, other = self.start("workdir", "--batch_size=7")
        self.assertEqual(chief.finish(SECONDS_TO_NOTICE), 1)
        self.assertIn("a multiple of 2", chief.text)
        self.assertEqual(other.finish(SECONDS_TO_NOTICE), 1)

    def test_a_worker_that_hangs(self):
        if not FULL:
            self.skipTest("takes half a minute of waiting; KERASRNN_FULL")
        for victim in (1, 0):
            workers = self.start("workdir")
            workers[0].wait_for("--- sample after step")
            workers[victim].send_signal(signal.SIGSTOP)
            self.assert_survivor_ends(workers[1 - victim])
            workers[victim].kill()


class CorpusTest(absltest.TestCase):
    def test_wrong_and_damaged_corpora_are_refused(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        (folder / "text.txt").write_text(TEXT)
        config = DataConfig(data=(str(folder / "text.txt"),))
        with self.assertRaisesRegex(UserError, "finds none that can be used"):
            wait_for_corpus(folder / "corpus", "0" * 64, seconds=0)
        corpus = build_corpus(config, folder / "corpus")
        with self.assertRaisesRegex(UserError, "must see the same working dir"):
            wait_for_corpus(folder / "corpus", "0" * 64, seconds=0)
        self.assertLen(
            wait_for_corpus(folder / "corpus", corpus.sha256, seconds=0), 3600
        )
        (ids,) = (folder / "corpus").glob("ids-*.bin")
        data = bytearray(ids.read_bytes())
        data[100] ^= 1
        ids.write_bytes(data)
        with self.assertRaisesRegex(UserError, "is damaged"):
            wait_for_corpus(folder / "corpus", corpus.sha256, seconds=0)


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _number(line):
    return int(line.split()[-1].strip(".").replace(",", ""))


if __name__ == "__main__":
    absltest.main()
