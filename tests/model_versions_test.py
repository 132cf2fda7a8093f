"""Versions found, loaded, swapped and let go, without TensorFlow."""

import tempfile
from pathlib import Path

import grpc
from absl.testing import absltest
from fake_servable import FakeServable
from kerasrnn_serving import wire
from kerasrnn_serving.model_versions import ModelVersions
from kerasrnn_serving.model_versions import find_versions
from kerasrnn_serving.rpc import StatusError


class ModelVersionsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.versions = ModelVersions("m", self.directory, self._load)
        self.loads = []

    def _load(self, directory):
        self.loads.append(int(directory.name))
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
                self._states(), {1: wire.UNLOADING, 2: wire.AVAILABLE}
            )
            with self.versions.use() as (version, _):
                self.assertEqual(version, 2)
            with self.assertRaisesRegex(StatusError, r"Specific\(m, 1\)"):
                self.versions.use(1).__enter__()
        self.versions.poll()
        self.assertTrue(first.closed)
        self.assertEqual(self._states(), {1: wire.END, 2: wire.AVAILABLE})

    def test_what_fails_is_tried_again_once_it_changes(self):
        self._publish(1)
        path = self._publish(2, broken=True)
        self.assertEqual(self.versions.version, 1)
        self.versions.poll()
        self.assertEqual(self.loads, [1, 2])
        status, _ = self.versions.statuses()
        self.assertEqual(status.state, wire.END)
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

    def test_only_numbers_are_versions(self):
        for name in ("1", "007", "-1", "2.tmp", ".3", "٣", "x"):
            (self.directory / name).mkdir()
        (self.directory / "9").touch()
        self.assertEqual(sorted(find_versions(self.directory)), [1, 7])

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
