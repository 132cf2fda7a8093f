"""Workers meet, refuse strangers and other corpora, and leave together."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import socket
import time

from absl.testing import absltest
from helpers.processes.tf_configs import clusters
from helpers.processes.tf_configs import tf_configs
from helpers.processes.two_workers import TEXT

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training.multi_worker.chief_settings import wait_for_corpus
from kerasrnn.training.multi_worker.process_group import join
from kerasrnn.training.multi_worker.rendezvous import meet
from kerasrnn.training.multi_worker.tf_config import parse_tf_config


class LeavingTest(absltest.TestCase):
    """Nobody's process ends while another one still reads from it."""

    def test_all_have_the_last_sum_before_one_leaves(self):
        processes = multiprocessing.get_context("spawn")
        moments = processes.Queue()
        workers = [
            processes.Process(target=_leave, args=(config, moments))
            for config in tf_configs(2)
        ]
        for worker in workers:
            worker.start()
        left = dict(moments.get(timeout=300) for _ in range(3))
        for worker in workers:
            worker.join(60)
            self.assertEqual(worker.exitcode, 0)
        # The follower had the sum two seconds before.
        self.assertGreater(left["follower left"], left["chief has the sum"])


def _leave(tf_config, moments):
    """A worker that meets another one and leaves; the chief is slow."""
    os.environ["TF_CONFIG"] = tf_config
    workers = join(parse_tf_config(tf_config))
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
        workers = clusters(3)
        tasks = workers[0].tasks
        with concurrent.futures.ThreadPoolExecutor() as pool:
            chief = pool.submit(meet, workers[0], 60)
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
            first = pool.submit(meet, workers[1], 60)
            with self.assertRaises(concurrent.futures.TimeoutError):
                chief.result(timeout=3)
            second = pool.submit(meet, workers[2], 60)
            for worker in (chief, first, second):
                self.assertIsNone(worker.result(timeout=60))

    def test_those_that_do_not_come_are_named(self):
        workers = clusters(3)
        with self.assertRaisesRegex(
            UserError, "joined: the worker 1 .*the worker 2 "
        ):
            meet(workers[0], seconds=0)
        with self.assertRaisesRegex(UserError, "the worker 0 .*cannot be"):
            meet(workers[1], seconds=0.1)
        port = int(workers[0].task.address.rpartition(":")[2])
        with socket.create_server(("", port)):
            with self.assertRaisesRegex(UserError, "cannot listen at 127"):
                meet(workers[0])


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


if __name__ == "__main__":
    absltest.main()
