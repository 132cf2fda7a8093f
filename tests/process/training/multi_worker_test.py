"""Tests of kerasrnn-train on two workers: real processes over loopback."""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import signal
import socket
import time

import numpy as np
from absl.testing import absltest
from helpers.processes.forked_trainer import ForkedTrainer

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints import finding
from kerasrnn.training.multi_worker.chief_settings import wait_for_corpus
from kerasrnn.training.multi_worker.process_group import join
from kerasrnn.training.multi_worker.rendezvous import meet
from kerasrnn.training.multi_worker.tf_config import Cluster
from kerasrnn.training.multi_worker.tf_config import Task
from kerasrnn.training.records.history import read_history

FULL = bool(os.environ.get("KERASRNN_FULL"))
TEXT = "It is a truth universally acknowledged, that a single man. \n" * 60
SECONDS_TO_NOTICE = 60
SECONDS_TO_SAVE = 30

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
        addresses = [f"127.0.0.1:{port}" for port in _free_ports(size)]

        def start(index, workdir, *arguments):
            config = {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
            return self.start_one(
                workdir, *arguments, TF_CONFIG=json.dumps(config)
            )

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


class MultiWorkerTest(MultiWorkerTestCase):
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


class SignalTest(MultiWorkerTestCase):
    """A signal at one worker, whatever it and the others are at."""

    def assert_all_end(self, workers, at, number):
        """Sends a signal to one of two workers; both must end by it."""
        workers[at].send_signal(number)
        statuses = [worker.finish(SECONDS_TO_SAVE) for worker in workers]
        texts = "\n---\n".join(worker.text for worker in workers)
        self.assertEqual(statuses, [128 + number] * len(workers), texts)
        for worker in workers:
            self.assertNotIn("error: ", worker.text)
        self.assertRegex(
            workers[1 - at].text,
            rf"The worker {at} \(127.0.0.1:\d+\) received signal {number}\. ",
        )

    def test_before_the_first_step(self):
        options = ("--num_layers=3", "--jit_compile=on")
        moments = [
            (1, signal.SIGTERM, 60, "3x16 lstm on"),  # compiling
            (0, signal.SIGINT, 60, "3x16 lstm on"),
            (1, signal.SIGINT, 60_000, "counting the text"),
            (0, signal.SIGTERM, 60_000, "counting the text"),
        ]
        for trial, (at, number, lines, moment) in enumerate(moments):
            with self.subTest(moment, at=at):
                text = f"text{trial}.txt"
                (self.folder / text).write_text(TEXT[:60] * lines)
                workers = self.start(f"{trial}", *options, f"--data={text}")
                workers[0].wait_for(moment)
                self.assert_all_end(workers, at, number)
                for worker in workers:
                    self.assertIn("Ended; no step is lost.", worker.text)
                checkpoints = self.folder / f"{trial}" / "checkpoints"
                self.assertEmpty(checkpoint.steps(checkpoints))

    def test_before_the_first_step_after_others(self):
        self.train("workdir", "--max_steps=1")
        workers = self.start("workdir", "--max_steps=9", "--jit_compile=on")
        workers[0].wait_for("Going on from step 1.")
        self.assert_all_end(workers, 1, signal.SIGTERM)
        self.assertEqual(self.newest("workdir").step, 1)

    def test_while_the_chief_evaluates_or_samples(self):
        (self.folder / "text.txt").write_text(TEXT[:60] * 100_000)
        moments = {
            "validated": (
                "validation: ",
                "--validation_fraction=0.9",
                "--validation_cost=0",
            ),
            "sampled": ("step 3: validation", "--sample_length=1000000"),
        }
        for what, (moment, *options) in moments.items():
            with self.subTest(what):
                workers = self.start(what, "--evaluate_every=3", *options)
                workers[0].wait_for(moment)
                # The chief would be busy for longer than the test waits.
                self.assert_all_end(workers, 1, signal.SIGTERM)
                for worker in workers:
                    self.assertIn("Saved. Run the same", worker.text)
                saved = self.newest(what)
                self.assertEqual(saved.step, 3)
                self.assertEqual(saved.info[what], 0)

    def test_while_waiting_for_others(self):
        start = self.cluster(3)
        options = ("workdir", "--max_steps=1", "--batch_size=6")
        workers = [start(index, *options) for index in range(2)]
        for index in (1, 0):  # the chief last
            workers[index].wait_for("This is worker")
            workers[index].send_signal(signal.SIGTERM)
            status = workers[index].finish(SECONDS_TO_SAVE)
            self.assertEqual(status, 143, workers[index].text)
            self.assertIn("Ended; no step is lost.", workers[index].text)
            # The one that stays does not mind.
            workers[index] = start(index, *options)
        workers.append(start(2, *options))
        statuses = [worker.finish() for worker in workers]
        texts = "\n---\n".join(worker.text for worker in workers)
        self.assertEqual(statuses, [0, 0, 0], texts)


class LeavingTest(absltest.TestCase):
    """Nobody's process ends while another one still reads from it."""

    def test_all_have_the_last_sum_before_one_leaves(self):
        ports = _free_ports(2)
        processes = multiprocessing.get_context("spawn")
        moments = processes.Queue()
        workers = [
            processes.Process(target=_leave, args=(index, ports, moments))
            for index in range(2)
        ]
        for worker in workers:
            worker.start()
        left = dict(moments.get(timeout=300) for _ in range(3))
        for worker in workers:
            worker.join(60)
            self.assertEqual(worker.exitcode, 0)
        # The follower had the sum two seconds before.
        self.assertGreater(left["follower left"], left["chief has the sum"])


def _leave(index, ports, moments):
    """A worker that meets another one and leaves; the chief is slow."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": index},
        }
    )
    tasks = tuple(Task("worker", *pair) for pair in enumerate(addresses))
    workers = join(Cluster(tasks, index))
    adding = workers.any

    def slow(value):
        value = adding(value)
        if workers.is_chief:
            time.sleep(2)
            moments.put(("chief has the sum", time.time()))
        return value

    workers.any = slow
    workers.finish()
    name = "chief" if workers.is_chief else "follower"
    moments.put((f"{name} left", time.time()))


class RendezvousTest(absltest.TestCase):
    """The workers' meeting, with a worker that says what it wants."""

    def test_only_workers_are_let_in(self):
        tasks = tuple(
            Task("worker", index, f"127.0.0.1:{port}")
            for index, port in enumerate(_free_ports(3))
        )
        with concurrent.futures.ThreadPoolExecutor() as pool:
            chief = pool.submit(meet, Cluster(tasks, 0), 60)
            strangers = [
                b"PRI * HTTP/2.0\r\n",
                b"kerasrnn 0\n",
                b"kerasrnn 3\n",
                b"kerasrnn one\n",
                b"",
            ]
            for words in strangers:
                with _connection(tasks[0]) as stranger:
                    stranger.sendall(words)
                    stranger.shutdown(socket.SHUT_WR)
                    self.assertEqual(stranger.recv(1), b"")
            # One that says nothing, and stays, keeps nobody out.
            self.enter_context(_connection(tasks[0]))
            # One that comes and goes does not count.
            with _connection(tasks[0]) as leaver:
                leaver.sendall(b"kerasrnn 2\n")
                self.assertEqual(leaver.recv(1), b".")
            first = pool.submit(meet, Cluster(tasks, 1), 60)
            with self.assertRaises(concurrent.futures.TimeoutError):
                chief.result(timeout=3)
            second = pool.submit(meet, Cluster(tasks, 2), 60)
            for worker in (chief, first, second):
                self.assertIsNone(worker.result(timeout=60))

    def test_those_that_do_not_come_are_named(self):
        tasks = tuple(
            Task("worker", index, f"127.0.0.1:{port}")
            for index, port in enumerate(_free_ports(3))
        )
        with self.assertRaisesRegex(UserError, "the worker 1 .*the worker 2 "):
            meet(Cluster(tasks, 0), seconds=0)
        with self.assertRaisesRegex(UserError, "the worker 0 .*cannot be"):
            meet(Cluster(tasks, 1), seconds=0.1)
        port = int(tasks[0].address.rpartition(":")[2])
        with socket.create_server(("", port)):
            with self.assertRaisesRegex(UserError, "cannot listen at 127"):
                meet(Cluster(tasks, 0))


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


def _connection(task):
    """Connects to a worker as soon as it listens."""
    host, _, port = task.address.rpartition(":")
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=60)
        except ConnectionRefusedError:
            time.sleep(0.01)


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
