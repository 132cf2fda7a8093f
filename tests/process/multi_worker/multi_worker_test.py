"""A run on two workers loses nothing when one of them ends or fails."""

import signal

import numpy as np
from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.processes.two_workers import SECONDS_TO_NOTICE
from helpers.processes.two_workers import MultiWorkerTestCase


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
            line = workers[0].wait_for("Resuming from step")
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
        for followers, expected in [
            (
                ("--units=17", "--minutes=3"),
                "--units is 17 here and 16 there; "
                "--minutes is 3.0 here and 0.0 there.",
            ),
            (
                ("--split=interleaved",),
                "--split is interleaved here and tail there.",
            ),
        ]:
            chief, other = self.start("workdir", followers=followers)
            self.assertEqual(other.finish(SECONDS_TO_NOTICE), 1)
            self.assertIn(expected, other.text)
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


def _number(line):
    return int(line.split()[-1].strip(".").replace(",", ""))


if __name__ == "__main__":
    absltest.main()
