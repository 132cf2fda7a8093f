"""The local server loads new versions, drains old ones, refuses broken ones."""

import os
import shutil
import tempfile
import threading
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from grpc_health.v1 import health_pb2
from helpers.servers import fake_export
from helpers.servers import serving_process
from helpers.servers.official_stubs import TIMEOUT
from helpers.servers.official_stubs import ServerTestCase
from helpers.servers.official_stubs import Stub
from helpers.servers.official_stubs import predict_request
from helpers.servers.official_stubs import text_of
from kerasrnn_serving.server.servable import WARMUP_FILE
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import prediction_log_pb2


class VersionsTest(ServerTestCase):
    """Swapping, failing and stopping: a server of its own."""

    def setUp(self):
        super().setUp()
        self.directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        fake_export.publish(self.directory, 1)
        self.server = serving_process.ServerProcess(
            self.directory, fake_export.FLAG
        )
        self.addCleanup(self.server.close)
        self.stub = Stub(self.server.target)
        self.addCleanup(self.stub.close)

    def _status(self):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "kerasrnn"
        response = self.stub.model.GetModelStatus(request, timeout=TIMEOUT)
        return {entry.version: entry for entry in response.model_version_status}

    # What a swap does to calls that run meanwhile is in load_test.
    def test_swaps_then_drains(self):
        os.rename(self._prepare(2), self.directory / "2")
        serving_process.wait_for_version(self.server.target, 2)
        statuses = self._status()
        self.assertEqual(statuses[2].state, statuses[2].AVAILABLE)
        self.assertIn(
            statuses[1].state, (statuses[1].UNLOADING, statuses[1].END)
        )
        self.assert_status(
            grpc.StatusCode.NOT_FOUND,
            "Servable not found for request: Specific(kerasrnn, 1)",
            self.stub.predict,
            "generate",
            {"prompt": ["a"]},
            version=1,
        )
        self._drain()

    def _prepare(self, version):
        """Writes a version under a name that is no number."""
        final = fake_export.publish(self.directory / "aside", version)
        path = self.directory / f"prepared-{version}"
        os.rename(final, path)
        return path

    def _drain(self):
        watch = self.stub.health.Watch(health_pb2.HealthCheckRequest())
        self.assertEqual(
            next(watch).status, health_pb2.HealthCheckResponse.SERVING
        )
        running = self.stub.prediction.Predict.future(
            predict_request("spin", {"count": np.int64([200_000])}),
            timeout=TIMEOUT,
        )
        # A second call's answer says that the first has arrived.
        self.stub.predict("spin", {"count": np.int64([1])})
        self.server.process.terminate()
        self.assertEqual(
            next(watch).status, health_pb2.HealthCheckResponse.NOT_SERVING
        )
        counted = running.result().outputs["counted"].int64_val
        self.assertEqual(list(counted), [200_000])
        self.assertEqual(self.server.wait(), 0)
        self.assertIn("Serving version 2 of kerasrnn", self.server.errors())
        self.assertNotIn("Traceback", self.server.errors())

    def test_a_version_that_does_not_load_leaves_the_old_one(self):
        broken = self._prepare(2)
        (broken / "saved_model.pb").write_bytes(b"not a SavedModel")
        os.rename(broken, self.directory / "2")
        serving_process.wait_for_version(self.server.target, 2)
        status = self._status()[2]
        self.assertEqual(status.state, status.END)
        self.assertNotEqual(status.status.error_code, 0)
        self.assertNotEqual(status.status.error_message, "")
        response = self.stub.predict("generate", {"prompt": ["a"]})
        self.assertEqual(response.model_spec.version.value, 1)

        # So does one whose warmup requests fail.
        cold = self._prepare(3)
        self._write_warmup(cold, {"prompt": np.int32([1])})
        os.rename(cold, self.directory / "3")
        serving_process.wait_for_version(self.server.target, 3)
        status = self._status()[3]
        self.assertEqual(status.state, status.END)
        self.assertIn("Expects arg", status.status.error_message)

        # The same number, made anew, is tried again.
        good = self._prepare(4)
        self._write_warmup(good, {"prompt": ["a"]})
        shutil.rmtree(self.directory / "3")
        os.rename(good, self.directory / "3")
        while self._status()[3].state != status.AVAILABLE:
            threading.Event().wait(0.05)
        response = self.stub.predict("generate", {"prompt": ["a"]})
        self.assertEqual(text_of(response), fake_export.expected(4, 0, 200))

    def test_a_directory_that_is_made_anew_is_served_anew(self):
        """It begins with the same number again."""
        other = self._prepare(4)
        shutil.rmtree(self.directory / "1")
        threading.Event().wait(1.5)
        response = self.stub.predict("generate", {"prompt": ["a"]})
        self.assertEqual(text_of(response), fake_export.expected(1, 0, 200))

        os.rename(other, self.directory / "1")
        ours = fake_export.expected(4, 0, 200)
        while text_of(self.stub.predict("generate", {"prompt": ["a"]})) != ours:
            self.assertIsNone(self.server.process.exitcode)
            threading.Event().wait(0.05)
        self.assertIn("Serving version 1 of kerasrnn", self.server.errors())
        self.assertNotIn("Traceback", self.server.errors())

    def _write_warmup(self, version, inputs):
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.CopyFrom(predict_request("generate", inputs))
        path = version / WARMUP_FILE
        path.parent.mkdir()
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(log.SerializeToString())


if __name__ == "__main__":
    absltest.main()
