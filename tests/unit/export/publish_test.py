"""A reader sees whole versions or none, whoever is killed."""

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

from absl.testing import absltest
from helpers.exports.published_files import FILES
from helpers.exports.published_files import publish_one
from helpers.full_counts import FULL
from helpers.sources.repository import program_environment
from kerasrnn_export.release.publish import preparation
from kerasrnn_export.release.publish import publish

from kerasrnn.contract.versions import find_versions
from kerasrnn.errors import UserError

VERSIONS, KILLS = (1000, 50) if FULL else (100, 5)

# Publishes versions until it is killed, saying so after each step.
WRITER = """
import sys
from pathlib import Path
from helpers.exports.published_files import publish_one
while True:
    publish_one(Path(sys.argv[1]), sys.stdout)
"""


def _contents(directory):
    return {
        path.relative_to(directory).as_posix(): path.stat().st_size
        for path in directory.rglob("*")
        if path.is_file()
    }


class Reader(threading.Thread):
    """Polls each millisecond, and keeps what it saw incomplete."""

    def __init__(self, export_dir):
        super().__init__(daemon=True)
        self.export_dir = export_dir
        self.done = threading.Event()
        self.polls = 0
        self.seen = set()
        self.incomplete = []

    def run(self):
        done = False
        while not done:
            # Asked before it looks, so that it looks once more at the end.
            done = self.done.wait(0.001)
            self.polls += 1
            for version in set(find_versions(self.export_dir)) - self.seen:
                contents = _contents(self.export_dir / str(version))
                self.seen.add(version)
                if contents != FILES:
                    self.incomplete.append((version, contents))


class PublishTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.export_dir = Path(self.create_tempdir().full_path) / "model"

    def test_versions_count_up(self):
        for version in (1, 2, 3):
            target = publish_one(self.export_dir)
            self.assertEqual(target, self.export_dir / str(version))
            self.assertEqual(_contents(target), FILES)

    def test_the_next_version_follows_the_highest(self):
        self.export_dir.mkdir()
        for name in ("7", "0012", ".tmp-3", "v99", "-50", "9" * 25, "1.5"):
            (self.export_dir / name).mkdir()
        self.assertEqual(publish_one(self.export_dir).name, "13")
        self.assertEqual(list(find_versions(self.export_dir)), [7, 12, 13])

    def test_a_file_takes_its_number_too(self):
        self.export_dir.mkdir()
        (self.export_dir / "7").touch()
        self.assertEqual(publish_one(self.export_dir).name, "8")
        self.assertEqual(list(find_versions(self.export_dir)), [8])

    def test_of_two_spellings_the_shorter_is_meant(self):
        for name in ("007", "7", "0007"):
            (self.export_dir / name).mkdir(parents=True)
        self.assertEqual(
            find_versions(self.export_dir), {7: self.export_dir / "7"}
        )

    def test_there_is_a_highest_version(self):
        (self.export_dir / str(2**63 - 1)).mkdir(parents=True)
        with self.assertRaisesRegex(UserError, "highest version"):
            publish_one(self.export_dir)

    def test_everybody_may_read(self):
        outer = self.export_dir / "made" / "too"
        before = os.umask(0o077)
        try:
            target = publish_one(outer)
        finally:
            os.umask(before)
        above = [outer, outer.parent, self.export_dir]
        for path in (*above, target, *target.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            wanted = 0o555 if path.is_dir() else 0o444
            self.assertEqual(mode & wanted, wanted, path)

    def test_a_directory_that_was_there_keeps_its_permissions(self):
        self.export_dir.mkdir()
        self.export_dir.chmod(0o700)
        publish_one(self.export_dir)
        self.assertEqual(stat.S_IMODE(self.export_dir.stat().st_mode), 0o700)

    def test_links_are_not_followed(self):
        secret = self.export_dir.parent / "secret"
        secret.write_text("mine")
        secret.chmod(0o600)
        self.export_dir.mkdir()
        (self.export_dir / ".tmp-link").symlink_to(secret.parent)
        with preparation(self.export_dir) as directory:
            (directory / "link").symlink_to(secret)
            (directory / "dangling").symlink_to("nowhere")
            publish(directory)
        self.assertEqual(stat.S_IMODE(secret.stat().st_mode), 0o600)
        self.assertEqual(secret.read_text(), "mine")

    def test_an_empty_directory_is_not_published(self):
        with self.assertRaisesRegex(UserError, "nothing to publish"):
            with preparation(self.export_dir) as directory:
                publish(directory)
        self.assertEqual(find_versions(self.export_dir), {})

    def test_a_failure_leaves_nothing(self):
        with self.assertRaises(ZeroDivisionError):
            with preparation(self.export_dir) as directory:
                (directory / "file").write_text("half")
                raise ZeroDivisionError
        self.assertEqual([p.name for p in self.export_dir.iterdir()], [".lock"])

    def test_two_exports_at_a_time_are_refused(self):
        with preparation(self.export_dir):
            with self.assertRaisesRegex(UserError, "[Aa]nother export"):
                with preparation(self.export_dir):
                    pass

    def test_many_may_publish_at_a_time(self):
        self.export_dir.mkdir()
        published = []

        def work(worker):
            for index in range(25):
                prepared = self.export_dir / f".tmp-{worker}-{index}"
                prepared.mkdir()
                (prepared / "name").write_text(prepared.name)
                target = publish(prepared, self.export_dir)
                published.append((int(target.name), prepared.name))

        threads = [threading.Thread(target=work, args=[i]) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(
            list(find_versions(self.export_dir)), list(range(1, 101))
        )
        for version, name in published:
            text = (self.export_dir / str(version) / "name").read_text()
            self.assertEqual(text, name)

    def test_what_stands_in_the_way_is_told(self):
        file = Path(self.create_tempdir().full_path) / "file"
        file.touch()
        for path in (file, file / "below"):
            with self.assertRaisesRegex(UserError, "not a directory"):
                with preparation(path):
                    pass
        with self.assertRaisesRegex(UserError, "/proc/nothing"):
            with preparation("/proc/nothing"):
                pass

    def test_a_directory_that_is_read_only_is_told(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        self.export_dir.mkdir(mode=0o555)
        with self.assertRaisesRegex(UserError, "not writable"):
            publish_one(self.export_dir)

    def test_a_full_disk_is_told_and_leaves_nothing(self):
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            with self.assertRaisesRegex(UserError, "disk is full"):
                with preparation(self.export_dir) as directory:
                    (directory / "file").write_text("half")
                    raise OSError(number, os.strerror(number))
        self.assertEqual([p.name for p in self.export_dir.iterdir()], [".lock"])

    def test_a_real_full_disk_is_told(self):
        with open("/dev/full", "w") as full:
            with self.assertRaisesRegex(UserError, "disk is full"):
                with preparation(self.export_dir):
                    full.write("x" * 10)
                    full.flush()
            # What could not be written must not be tried again on closing.
            os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


class KilledTest(absltest.TestCase):
    def test_no_incomplete_version_is_ever_seen(self):
        """Writers are killed at random steps while a reader polls."""
        export_dir = Path(self.create_tempdir().full_path) / "model"
        export_dir.mkdir()
        reader = Reader(export_dir)
        reader.start()
        chance = random.Random(0)
        kills = 0
        while kills < KILLS or len(find_versions(export_dir)) < VERSIONS:
            # A number of steps, not a time: the kill comes at any of them.
            steps = len(FILES) + 1
            mean = VERSIONS // KILLS * steps
            self._publish_and_kill(export_dir, chance.randint(1, 2 * mean))
            kills += 1
        publish_one(export_dir)  # Sweeps what the last one left.
        reader.done.set()
        reader.join()
        print(
            f"\n{len(find_versions(export_dir))} versions, {kills} kills, "
            f"{reader.polls} polls, {len(reader.incomplete)} incomplete"
        )
        self.assertEqual(reader.incomplete, [])
        self.assertGreater(reader.polls, VERSIONS)
        published = list(find_versions(export_dir))
        self.assertEqual(published, list(range(1, len(published) + 1)))
        self.assertGreaterEqual(len(reader.seen), VERSIONS)
        leftovers = [p.name for p in export_dir.iterdir()]
        self.assertEqual(
            sorted(name for name in leftovers if not name.isdigit()), [".lock"]
        )

    def _publish_and_kill(self, export_dir, steps):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(export_dir)],
            env=program_environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            for _ in range(steps):
                self.assertNotEqual(writer.stdout.readline(), "")
            writer.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    absltest.main()
