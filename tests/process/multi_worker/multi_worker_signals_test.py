"""A signal to one of two workers ends both, with the step saved."""

import signal

from absl.testing import absltest
from helpers.processes.two_workers import TEXT
from helpers.processes.two_workers import MultiWorkerTestCase

from kerasrnn.training.checkpoints import checkpoint

SECONDS_TO_SAVE = 30


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
        workers[0].wait_for("Resuming from step 1.")
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


if __name__ == "__main__":
    absltest.main()
