"""What the local server refuses: by its limits, and as the real one does."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import numpy as np
from absl.testing import absltest
from grpc_health.v1 import health_pb2
from helpers.servers import fake_export
from helpers.servers import serving_process
from helpers.servers.official_stubs import TIMEOUT
from helpers.servers.official_stubs import ServerTestCase
from helpers.servers.official_stubs import Stub
from helpers.servers.official_stubs import predict_request
from kerasrnn_serving.server.work import RUNNING
from tensorflow_serving.apis import classification_pb2
from tensorflow_serving.apis import inference_pb2
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.apis import regression_pb2

# Makes calls, as many as it is told, and waits for them.
_CLIENT = """
import sys
import grpc
target, count = sys.argv[1:]
request = sys.stdin.buffer.read()
method = "/tensorflow.serving.PredictionService/Predict"
call = grpc.insecure_channel(target).unary_unary(method)
calls = [call.future(request) for _ in range(int(count))]
for call in calls:
    call.result()
"""


def _processor_seconds(pid):
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, values[11:13])) / os.sysconf("SC_CLK_TCK")


class LimitsTest(ServerTestCase):
    """What one call, and all together, may ask for: by the flags."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        fake_export.publish(directory, 1)
        cls.server = serving_process.ServerProcess(
            directory,
            fake_export.FLAG,
            "--max_rows=5",
            "--max_calls=20",
            "--max_message_bytes=10000",
            "--max_seconds=4",
        )
        cls.addClassCleanup(cls.server.close)
        cls.stub = Stub(cls.server.target)
        cls.addClassCleanup(cls.stub.close)

    def test_rows(self):
        self.stub.predict("spin", {"count": np.int64([1] * 5)})
        self.assert_status(
            grpc.StatusCode.INVALID_ARGUMENT,
            "count has 6 rows; this server takes at most 5 a call "
            "(--max_rows).",
            self.stub.predict,
            "spin",
            {"count": np.int64([1] * 6)},
        )

    def test_messages(self):
        for prompt, code in (
            ("a" * 9_000, None),
            ("a" * 11_000, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            inputs = {"prompt": [prompt], "length": np.int32([1])}
            try:
                self.stub.predict("generate", inputs)
                received = None
            except grpc.RpcError as error:
                received = error.code()
            self.assertEqual(received, code)

    def test_calls_and_seconds_and_health_meanwhile(self):
        """Every call runs for ever: without a client's deadline."""
        request = predict_request("spin", {"count": np.int64([10**15])})
        calls = [
            self.stub.prediction.Predict.future(request) for _ in range(30)
        ]
        check = self.stub.health.Check(
            health_pb2.HealthCheckRequest(), timeout=TIMEOUT
        )
        self.assertEqual(check.status, check.SERVING)
        codes = [call.code() for call in calls]
        self.assertEqual(
            codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED), 10, codes
        )
        self.assertEqual(
            codes.count(grpc.StatusCode.DEADLINE_EXCEEDED), 20, codes
        )
        self.stub.predict("spin", {"count": np.int64([1])})

    def test_what_nobody_waits_for_ends(self):
        """Whatever runs here would do so for an hour, and all places with it.

        More calls than run at a time, so that some wait for their turn.
        """
        directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        fake_export.publish(directory, 1)
        server = serving_process.ServerProcess(
            directory,
            fake_export.FLAG,
            f"--max_calls={RUNNING + 3}",
            "--max_seconds=3600",
        )
        self.addCleanup(server.close)
        stub = Stub(server.target)
        self.addCleanup(stub.close)
        request = predict_request("spin", {"count": np.int64([10**15])})
        for leave in (self._cancel, self._close, self._kill):
            with self.subTest(leave.__name__):
                leave(server, request)
                self._wait_until_empty(stub, request)
        self.assertNotIn("Traceback", server.errors())

    def _cancel(self, server, request):
        stub = Stub(server.target)
        self.addCleanup(stub.close)
        calls = self._fill(stub, request)
        self._wait_until_busy(server)
        for call in calls:
            call.cancel()
            self.assertEqual(call.code(), grpc.StatusCode.CANCELLED)

    def _close(self, server, request):
        stub = Stub(server.target)
        calls = self._fill(stub, request)
        self._wait_until_busy(server)
        stub.close()
        # Without this they would be gone before.
        del calls

    def _kill(self, server, request):
        """The client is gone, and its connection."""
        client = subprocess.Popen(
            [sys.executable, "-c", _CLIENT, server.target, str(RUNNING + 3)],
            stdin=subprocess.PIPE,
        )
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        client.stdin.write(request.SerializeToString())
        client.stdin.close()
        self._wait_until_busy(server)
        client.kill()

    def _fill(self, stub, request, timeout=None):
        return [
            stub.prediction.Predict.future(request, timeout=timeout)
            for _ in range(RUNNING + 3)
        ]

    def _wait_until_busy(self, server):
        """Waits until what it was asked has begun: that takes its processor."""
        end = time.monotonic() + TIMEOUT
        before = _processor_seconds(server.process.pid)
        while _processor_seconds(server.process.pid) < before + 0.5:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def _wait_until_empty(self, stub, request):
        """Waits until as many calls as it takes are taken, all at once."""
        end = time.monotonic() + TIMEOUT
        refused = grpc.StatusCode.RESOURCE_EXHAUSTED
        codes = [refused]
        while refused in codes:
            self.assertLess(time.monotonic(), end)
            calls = self._fill(stub, request, timeout=1)
            codes = [call.code() for call in calls]
        self.assertEqual(set(codes), {grpc.StatusCode.DEADLINE_EXCEEDED})

    def test_methods_that_an_export_has_no_use_for(self):
        """They are refused in the real server's words."""
        classify, regress, multi = (
            self.stub.prediction.Classify,
            self.stub.prediction.Regress,
            self.stub.prediction.MultiInference,
        )
        one = classification_pb2.ClassificationRequest
        for method, request, message in (
            (classify, one(), "Missing ModelSpec"),
            (
                classify,
                one(model_spec=self._spec("nope")),
                "No signature was found with the name: nope",
            ),
            (
                classify,
                one(model_spec=self._spec("generate")),
                "Expected one input Tensor.",
            ),
            (
                classify,
                one(model_spec=self._spec("")),
                "No classification inputs found in SignatureDef: inputs "
                "{prompt}, outputs {text}",
            ),
            (
                regress,
                regression_pb2.RegressionRequest(model_spec=self._spec("")),
                "No regression inputs found in SignatureDef: inputs {prompt}, "
                "outputs {text}",
            ),
            (
                multi,
                inference_pb2.MultiInferenceRequest(),
                "ModelSpec has no name specified.",
            ),
            (
                multi,
                self._tasks(self._spec("nope")),
                "Requested signature not found in model graph: nope",
            ),
            (
                multi,
                self._tasks(self._spec("score")),
                "Expected one input Tensor.",
            ),
            (
                multi,
                self._tasks(self._spec("score", "m")),
                "Servable not found for request: Latest(m)",
            ),
            (
                self.stub.model.HandleReloadConfigRequest,
                model_management_pb2.ReloadConfigRequest(),
                "ServerModelConfig type not supported by "
                "HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported",
            ),
        ):
            code = grpc.StatusCode.INVALID_ARGUMENT
            if "Servable" in message:
                code = grpc.StatusCode.NOT_FOUND
            self.assert_status(code, message, method, request, timeout=TIMEOUT)

    def _spec(self, signature, model="kerasrnn"):
        return model_pb2.ModelSpec(name=model, signature_name=signature)

    def _tasks(self, *specs):
        return inference_pb2.MultiInferenceRequest(
            tasks=[
                inference_pb2.InferenceTask(
                    model_spec=spec, method_name="tensorflow/serving/classify"
                )
                for spec in specs
            ]
        )


if __name__ == "__main__":
    absltest.main()
