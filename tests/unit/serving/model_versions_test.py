"""Versions found, loaded, swapped and let go, without TensorFlow."""

import shutil
import tempfile
import threading
from pathlib import Path

import grpc
from absl.testing import absltest
from helpers.servers.fake_servable import FakeServable
from kerasrnn_serving.server.model_versions import ModelVersions
from kerasrnn_serving.server.rpc import StatusError

from kerasrnn.contract import api
from kerasrnn.contract.versions import LARGEST_VERSION
from kerasrnn.contract.versions import find_versions


class ModelVersionsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.versions = ModelVersions("m", self.directory, self._load)
        self.loads = []
        self.failure = None

    def _load(self, directory):
        self.loads.append(int(directory.name))
        if (directory / "very_broken").exists():
            raise self.failure
        if (directory / "broken").exists():
            raise StatusError(grpc.StatusCode.DATA_LOSS, "it is broken")
        return FakeServable(directory)

    def _publish(self, version, broken=False):
        path = self.directory / str(version)
        path.mkdir()
        if broken:
            (path / "broken").touch()
        self.versions.poll()
        return path

    def _states(self):
        return {s.version: s.state for s in self.versions.statuses()}

    def test_nothing_yet(self):
        self.versions.poll()
        self.assertIsNone(self.versions.version)
        with self.assertRaisesRegex(StatusError, r"Latest\(m\)"):
            self.versions.use().__enter__()

    def test_a_version_in_use_is_not_closed(self):
        self._publish(1)
        with self.versions.use() as (_, first):
            self._publish(2)
            self.versions.poll()
            self.assertFalse(first.closed)
            self.assertEqual(
                self._states(), {1: api.UNLOADING, 2: api.AVAILABLE}
            )
            with self.versions.use() as (version, _):
                self.assertEqual(version, 2)
            with self.assertRaisesRegex(StatusError, r"Specific\(m, 1\)"):
                self.versions.use(1).__enter__()
        self.versions.poll()
        self.assertTrue(first.closed)
        self.assertEqual(self._states(), {1: api.END, 2: api.AVAILABLE})

    def test_what_fails_is_tried_again_once_it_changes(self):
        self._publish(1)
        path = self._publish(2, broken=True)
        self.assertEqual(self.versions.version, 1)
        self.versions.poll()
        self.assertEqual(self.loads, [1, 2])
        status, _ = self.versions.statuses()
        self.assertEqual(status.state, api.END)
        self.assertEqual(status.code, grpc.StatusCode.DATA_LOSS.value[0])
        self.assertEqual(status.message, "it is broken")
        (path / "broken").unlink()
        self.versions.poll()
        self.assertEqual(self.versions.version, 2)

    def test_going_back_by_taking_the_newest_away(self):
        self._publish(1)
        self._publish(2).rmdir()
        self.versions.poll()
        self.assertEqual(self.versions.version, 1)

    def test_what_is_loaded_stays_when_the_directory_goes(self):
        self._publish(1).rmdir()
        self.directory.rmdir()
        self.versions.poll()
        self.assertEqual(self.versions.version, 1)
        self.directory.mkdir()

    def _replace(self, *names):
        """Puts another version 1 in the place of the first, and looks."""
        shutil.rmtree(self.directory / "1", ignore_errors=True)
        aside = self.directory / "aside"
        aside.mkdir()
        for name in names:
            (aside / name).touch()
        aside.rename(self.directory / "1")
        self.versions.poll()

    def test_another_model_under_the_number_that_is_served(self):
        self._replace("first")
        self.versions.poll()
        self.assertEqual(self.loads, [1])
        with self.versions.use() as (_, first):
            self._replace("second")
            # It may be half written: what is there must be there twice.
            self.assertEqual(self.loads, [1])
            self.versions.poll()
            self.assertEqual(self.loads, [1, 1])
            self.assertFalse(first.closed)
            with self.versions.use(1) as (version, second):
                self.assertIsNot(second, first)
            self.assertEqual(version, 1)
        self.versions.poll()
        self.assertTrue(first.closed)
        self.assertFalse(second.closed)
        self.assertEqual(self._states(), {1: api.AVAILABLE})
        self.versions.poll()
        self.assertEqual(self.loads, [1, 1])

    def test_what_is_loaded_stays_when_its_files_go_one_by_one(self):
        self._replace("first", "second")
        for name in ("first", "second"):
            (self.directory / "1" / name).unlink()
            self.versions.poll()
        for _ in range(3):
            self.versions.poll()
        self.assertEqual(self.loads, [1])
        (self.directory / "1").rmdir()
        self.versions.poll()
        self.assertEqual(self._states(), {1: api.AVAILABLE})

    def test_a_replacement_that_fails_leaves_what_is_loaded(self):
        self._replace("first")
        with self.assertLogs("absl", "ERROR") as logs:
            self._replace("broken")
            for _ in range(3):
                self.versions.poll()
        self.assertEqual(self.loads, [1, 1])
        self.assertLen(logs.output, 1)
        self.assertIn("the old one stays", logs.output[0])
        self.assertEqual(self._states(), {1: api.AVAILABLE})
        self._replace("good")
        self.versions.poll()
        self.assertEqual(self.loads, [1, 1, 1])

    def test_a_version_that_comes_back_is_in_service(self):
        """Whatever becomes of what was loaded of it before."""
        self._publish(1)
        with self.versions.use() as (_, first):
            self._publish(2).rmdir()
            self.versions.poll()
            self.assertEqual(self.versions.version, 1)
        self.versions.poll()
        self.assertTrue(first.closed)
        self.assertEqual(self._states(), {1: api.AVAILABLE, 2: api.END})

    def test_only_numbers_are_versions(self):
        large = str(LARGEST_VERSION + 1)
        for name in (
            "1",
            "007",
            "-1",
            "2.tmp",
            ".3",
            "٣",
            "x",
            large,
            "9" * 99,
        ):
            (self.directory / name).mkdir()
        (self.directory / "9").touch()
        self.assertEqual(sorted(find_versions(self.directory)), [1, 7])

    def test_a_number_above_all_versions_is_not_loaded(self):
        self._publish(1)
        self._publish("99999999999999999999")
        self.assertEqual(self.versions.version, 1)
        self.assertEqual(self.loads, [1])
        self._publish(LARGEST_VERSION)
        self.assertEqual(self.versions.version, LARGEST_VERSION)

    def test_any_failure_of_loading_is_one_version_s(self):
        self._publish(1)
        for version, self.failure in enumerate(
            (MemoryError(), RecursionError("deep"), KeyError("x")), 2
        ):
            path = self.directory / str(version)
            path.mkdir()
            (path / "very_broken").touch()
            self.versions.poll()
            self.versions.poll()
            status, *_ = self.versions.statuses()
            self.assertEqual((status.version, status.state), (version, api.END))
            self.assertEqual(status.message, repr(self.failure))
            self.assertEqual(self.versions.version, 1)
        self.assertEqual(self.loads, [1, 2, 3, 4])

    def test_the_search_for_versions_survives_everything(self):
        """Whatever it meets, what comes later is found, and it is told."""
        self._publish(1)
        failed, found = threading.Event(), threading.Event()
        failures = [OSError(5, "away"), KeyError("x"), MemoryError()] * 2

        class Versions(ModelVersions):
            def poll(self):
                if failures:
                    failed.set()
                    raise failures.pop()
                super().poll()
                if self.version == 2:
                    found.set()

        versions = Versions("m", self.directory, self._load)
        with self.assertLogs("absl", "ERROR") as logs:
            versions.start_polling(0.01)
            self.addCleanup(versions.stop)
            self.assertTrue(failed.wait(60))
            (self.directory / "2").mkdir()
            self.assertTrue(found.wait(60))
        self.assertLen(logs.output, 6)
        self.assertIn("Looking for versions of m failed", logs.output[0])
        self.assertIn("MemoryError", logs.output[0])

    def test_stopping_closes_everything(self):
        self._publish(1)
        with self.versions.use() as (_, first):
            self._publish(2)
        with self.versions.use() as (_, second):
            pass
        self.versions.start_polling(0.01)
        self.versions.stop()
        self.assertTrue(first.closed and second.closed)


if __name__ == "__main__":
    absltest.main()
