"""A disk that is full or read-only: nothing is lost, and it is said clearly.

Where file systems may be mounted the disk is a small one of its own; else a
limit on the size of files, and permissions, do what they can.
"""

import contextlib
import os
import pathlib
import random
import resource
import signal
import subprocess
import time

from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.models.small_checkpoints import make_checkpoint
from helpers.processes.forked_trainer import ForkedTrainer

from kerasrnn.errors import UserError
from kerasrnn.training.checkpoints import checkpoint

SEED = int(os.environ.get("KERASRNN_SEED", "0"))
TEXT = "It is a truth universally acknowledged, that a single man. \n" * 60

SMALL = (
    "--data=text.txt",
    "--workdir=disk/workdir",
    "--units=64",
    "--num_layers=1",
    "--batch_size=4",
    "--sequence_length=16",
    "--epochs=1000000",
    "--max_steps=0",
    "--sample_length=0",
    "--evaluate_every=1000000",
    "--checkpoint_every=10",
    "--jit_compile=off",
)


class DiskTestCase(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        self.draws = random.Random(SEED)

    def mount(self, kilobytes):
        """Makes `disk` a file system of its own, or skips the test."""
        try:
            self.run_mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("file systems may not be mounted here")
        self.addCleanup(
            subprocess.run, ["umount", "--lazy", str(self.disk)], check=True
        )

    def run_mount(self, *arguments):
        """Runs `mount` on the disk."""
        command = ["mount", *map(str, arguments), str(self.disk)]
        subprocess.run(command, check=True, capture_output=True)

    def free(self):
        """Returns the free bytes of the disk."""
        status = os.statvfs(self.disk)
        return status.f_bavail * status.f_frsize

    def fill(self, left):
        """Fills the disk but for some bytes."""
        filler = self.disk / "filler"
        with open(filler, "ab") as file, contextlib.suppress(OSError):
            os.posix_fallocate(
                file.fileno(), file.tell(), max(self.free() - left, 1)
            )
        return filler


class SaveTest(DiskTestCase):
    """Saving alone, at each amount of room that is not enough."""

    def test_full_disk_leaves_earlier_checkpoints_intact(self):
        self.mount(1000)
        checkpoints = self.disk / "checkpoints"
        checkpoint.save(checkpoints, make_checkpoint(1, 10_000))
        before = self.free()
        checkpoint.save(checkpoints, make_checkpoint(2, 10_000))
        size = before - self.free()
        trials = 200 if FULL else 30
        for trial in range(trials):
            filler = self.fill(self.draws.randrange(size))
            with self.subTest(trial):
                with self.assertRaisesRegex(
                    UserError,
                    "Could not write the checkpoint .*No space left on device"
                    ".* Earlier checkpoints are intact; free some",
                ):
                    checkpoint.save(checkpoints, make_checkpoint(3, 10_000))
                self.assertCountEqual(os.listdir(checkpoints), ["1", "2"])
                for step in (1, 2):
                    checkpoint.load(checkpoints / str(step))
            filler.unlink()
        print(f"{trials} saves without room: all checkpoints before intact.")
        checkpoint.save(checkpoints, make_checkpoint(3, 10_000))

    def test_read_only_disk(self):
        self.mount(1000)
        checkpoints = self.disk / "checkpoints"
        checkpoint.save(checkpoints, make_checkpoint(1))
        self.run_mount("-o", "remount,ro")
        with self.assertRaisesRegex(UserError, "Read-only file system"):
            checkpoint.save(checkpoints, make_checkpoint(2))
        checkpoint.load(checkpoints / "1")

    def test_limit_on_the_size_of_files(self):
        checkpoint.save(self.disk, make_checkpoint(1))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with self.assertRaisesRegex(UserError, "File too large"):
                checkpoint.save(self.disk, make_checkpoint(2, 300_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertEqual(os.listdir(self.disk), ["1"])
        checkpoint.load(self.disk / "1")


class TrainingTest(DiskTestCase):
    """A training that meets such a disk in its midst."""

    def setUp(self):
        super().setUp()
        (self.folder / "text.txt").write_text(TEXT)
        self.checkpoints = self.disk / "workdir" / "checkpoints"

    def start(self, *arguments):
        trainer = ForkedTrainer([*SMALL, *arguments], self.folder)
        self.addCleanup(trainer.close)
        return trainer

    def wait_for_checkpoints(self, trainer):
        """Returns once this training has saved something."""
        before = checkpoint.steps(self.checkpoints)
        while checkpoint.steps(self.checkpoints) == before:
            self.assertTrue(trainer.is_alive(), trainer.text)
            time.sleep(0.01)

    def assert_ends_and_goes_on(self, trainer, pattern, repair):
        """Checks the end of a training on a bad disk, and the next one."""
        self.assertEqual(trainer.finish(), 1, trainer.text)
        self.assertRegex(trainer.text, rf"\nerror: .*{pattern}.*\.\n$")
        self.assertIn("run the same command again", trainer.text)
        self.assertNotIn("Traceback", trainer.text)
        steps = checkpoint.steps(self.checkpoints)
        self.assertNotEmpty(steps)
        for step in steps:
            checkpoint.load(self.checkpoints / str(step))
        repair()
        limit = f"--max_steps={steps[-1] + 15}"
        trainer = self.start(limit)
        self.assertEqual(trainer.finish(), 0, trainer.text)
        self.assertIn(f"Resuming from step {steps[-1]:,}.", trainer.text)

    def test_disk_that_gets_full(self):
        self.mount(4000)
        # Room for nothing, for the history only, for part of a checkpoint.
        rooms = (0, 20_000, 200_000) if FULL else (0, 200_000)
        for room in rooms:
            trainer = self.start()
            self.wait_for_checkpoints(trainer)
            # Stopped, lest it makes room while the rest is filled.
            trainer.send_signal(signal.SIGSTOP)
            filler = self.fill(room)
            trainer.send_signal(signal.SIGCONT)
            self.assert_ends_and_goes_on(
                trainer, "No space left on device", filler.unlink
            )

    def test_disk_that_gets_read_only(self):
        self.mount(4000)
        trainer = self.start()
        self.wait_for_checkpoints(trainer)
        # The disk itself cannot become so while files are written on it, but
        # what is opened from now on is found in a view of it that is. That is
        # made elsewhere: nothing may be written in it before.
        view = self.create_tempdir().full_path
        subprocess.run(["mount", "--bind", str(self.disk), view], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", view], check=True)
        self.run_mount("--bind", view)
        subprocess.run(["umount", view], check=True)

        def repair():
            # Lazily: the training may have files open in it.
            subprocess.run(["umount", "--lazy", str(self.disk)], check=True)

        self.assert_ends_and_goes_on(trainer, "Read-only file system", repair)


if __name__ == "__main__":
    absltest.main()
