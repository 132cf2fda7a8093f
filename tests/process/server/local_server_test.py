"""The local server, asked through TensorFlow Serving's official stubs."""

import os
import shutil
import signal
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
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_log_pb2

from kerasrnn.contract import api


class AnswersTest(ServerTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = serving_process.shared_server()
        cls.stub = Stub(cls.server.target)
        cls.addClassCleanup(cls.stub.close)

    def test_it_says_where_it_listens_and_what_it_is(self):
        self.assertStartsWith(
            self.server.line, "Serving version 1 of kerasrnn at 127.0.0.1:"
        )
        self.assertIn("for one machine", self.server.line)
        # Once: only versions that come later are in the log.
        self.assertNotIn("Serving version", self.server.errors())

    def test_defaults_are_filled_in(self):
        response = self.stub.predict("generate", {"prompt": ["a"]})
        self.assertEqual(text_of(response), fake_export.expected(1, 0, 200))
        self.assertEqual(response.model_spec.name, "kerasrnn")
        self.assertEqual(response.model_spec.signature_name, "generate")
        self.assertEqual(response.model_spec.version.value, 1)

    def test_many_rows_and_every_type(self):
        response = self.stub.predict(
            "generate",
            {
                "prompt": ["a?", "", "b"],
                "state_bytes": [b"", b"fake:7", b"\x00"],
                "length": np.int32([3, 4, 5]),
                "temperature": np.float32([1, 0, 2]),
                "top_k": np.int32([0, 0, 0]),
                "top_p": np.float32([1, 1, 1]),
                "seed": np.int64([0, 5, 0]),
                "stop": ["", "", ""],
            },
        )
        outputs = {
            name: tf.make_ndarray(tensor).tolist()
            for name, tensor in response.outputs.items()
        }
        self.assertEqual(
            outputs,
            {
                "text": [
                    fake_export.expected(1, 0, 3).encode(),
                    fake_export.expected(1, 5, 4, draws=7).encode(),
                    b"",
                ],
                "state_bytes": [b"fake:3", b"fake:11", b"\x00"],
                "log_prob": [-3.0, -4.0, 0.0],
                "length": [3, 4, 0],
                "unknown": [1, 0, 0],
                "finish": [b"length", b"length", b"error"],
                "error": [b"", b"", b"state_bytes is damaged."],
            },
        )

    def test_values_come_in_the_fields_of_their_types(self):
        # What everyone reads, as the server sends it unless told otherwise.
        response = self.stub.predict("score", {"text": ["abc"]})
        self.assertEqual(
            list(response.outputs["character_log_probs"].float_val),
            [-0.5, -0.5, -0.5],
        )
        self.assertEqual(list(response.outputs["length"].int_val), [3])

    def test_no_rows(self):
        inputs = {
            "text": np.zeros([0], object),
            "state_bytes": np.zeros([0], object),
        }
        response = self.stub.predict("score", inputs)
        for tensor in response.outputs.values():
            self.assertEqual(tensor.tensor_shape.dim[0].size, 0)

    def test_a_signature_not_named_is_serving_default(self):
        response = self.stub.predict("", {"prompt": ["a"]})
        self.assertEqual(response.model_spec.signature_name, "serving_default")
        self.assertEqual(text_of(response), fake_export.expected(1, 0, 200))

    def test_output_filter(self):
        request = predict_request("generate", {"prompt": ["a"]})
        request.output_filter.append("length")
        response = self.stub.prediction.Predict(request, timeout=TIMEOUT)
        self.assertEqual(list(response.outputs), ["length"])
        for names, message in (
            (
                ["n"],
                "output tensor alias not found in signature: n Outputs "
                "expected to be in the set {error,finish,length,log_prob,"
                "state_bytes,text,unknown}.",
            ),
            (["text", "text"], "duplicate output tensor alias: text"),
        ):
            del request.output_filter[:]
            request.output_filter.extend(names)
            self.assert_status(
                grpc.StatusCode.INVALID_ARGUMENT,
                message,
                self.stub.prediction.Predict,
                request,
                timeout=TIMEOUT,
            )

    def test_models_and_versions_that_are_not_there(self):
        inputs = {"prompt": ["a"]}
        for options, message in (
            ({"model": "m"}, "Servable not found for request: Latest(m)"),
            (
                {"version": 7},
                "Servable not found for request: Specific(kerasrnn, 7)",
            ),
            (
                {"model": "m", "version": 1},
                "Servable not found for request: Specific(m, 1)",
            ),
        ):
            self.assert_status(
                grpc.StatusCode.NOT_FOUND,
                message,
                self.stub.predict,
                "generate",
                inputs,
                **options,
            )

    def test_requests_that_do_not_say_which_model(self):
        call = self.stub.prediction.Predict
        labelled = predict_request("generate", {})
        labelled.model_spec.version_label = "stable"
        for request, message in (
            (predict_pb2.PredictRequest(), "Missing ModelSpec"),
            (
                predict_request("generate", {}, model=""),
                "ModelSpec has no name specified.",
            ),
            (labelled, "Unrecognized servable version label: stable"),
        ):
            self.assert_status(
                grpc.StatusCode.INVALID_ARGUMENT,
                message,
                call,
                request,
                timeout=TIMEOUT,
            )

    def test_a_signature_that_is_not_there(self):
        self.assert_status(
            grpc.StatusCode.FAILED_PRECONDITION,
            'Serving signature key "nope" not found.',
            self.stub.predict,
            "nope",
            {},
        )

    def test_inputs_missing_extra_and_of_another_type(self):
        defaults = "length,seed,state_bytes,stop,temperature,top_k,top_p"
        for signature, inputs, message in (
            (
                "serving_default",
                {"x": ["a"], "prompt": ["a"]},
                "input size does not match signature: 2!=1 "
                "len({prompt,x}) != len({prompt}). Sent extra: {x}. Missing "
                "but required: {}.",
            ),
            (
                "serving_default",
                {"x": ["a"]},
                "Signature input alias: prompt(feed name: "
                "serving_default_prompt:0) not found in request and no "
                "default value provided. Inputs expected to be in the "
                "request {x}, or default input alias set: ",
            ),
            (
                "generate",
                {},
                "Signature input alias: prompt(feed name: generate_prompt:0) "
                "not found in request and no default value provided. Inputs "
                "expected to be in the request {}, or default input alias "
                f"set: {defaults}",
            ),
            (
                "generate",
                {"prompt": ["a"], "x": ["a"]},
                "Inputs contains invalid name. Used request inputs: prompt, "
                "request input: prompt,x",
            ),
            (
                "serving_default",
                {"prompt": np.int32([1])},
                "Expects arg[0] to be string but int32 is provided",
            ),
            (
                "spin",
                {"count": np.float32([1])},
                "Expects arg[0] to be int64 but float is provided",
            ),
        ):
            self.assert_status(
                grpc.StatusCode.INVALID_ARGUMENT,
                message,
                self.stub.predict,
                signature,
                inputs,
            )

    def test_a_signature_that_has_no_tensors(self):
        """It initializes; what it names as an output is no tensor."""
        self.assert_status(
            grpc.StatusCode.OUT_OF_RANGE,
            "Node 'NoOp' (type: 'NoOp', num of outputs: 0) does not have "
            "output 0",
            self.stub.predict,
            "__saved_model_init_op",
            {},
        )

    def test_a_tensor_that_does_not_fill_its_shape(self):
        request = predict_request("spin", {"count": np.int64([1])})
        request.inputs["count"].tensor_content = b"123"
        self.assert_status(
            grpc.StatusCode.INVALID_ARGUMENT,
            "tensor parsing error: count",
            self.stub.prediction.Predict,
            request,
            timeout=TIMEOUT,
        )

    def test_what_fails_in_the_graph_says_so(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.stub.predict(
                "generate", {"prompt": ["a"], "length": np.int32([1, 2])}
            )
        error = raised.exception
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertRegex(
            error.details(),
            r"\n\t \[\[(\{\{function_node \w+\}\})?\{\{node \w+\}\}\]\]$",
        )
        self.assertNotIn("stack trace", error.details())
        self.assertNotIn("Graph execution error", error.details())

    def test_a_deadline_ends_the_work(self):
        count = {"count": np.int64([10**14])}
        with self.assertRaises(grpc.RpcError) as raised:
            self.stub.predict("spin", count, timeout=0.3)
        self.assertEqual(
            raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED
        )
        # Loops that went on would hold all threads: more calls than those.
        calls = [
            self.stub.prediction.Predict.future(
                predict_request("spin", count), timeout=0.3
            )
            for _ in range(40)
        ]
        for call in calls:
            self.assertEqual(call.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        response = self.stub.predict("spin", {"count": np.int64([3])})
        self.assertEqual(list(response.outputs["counted"].int64_val), [3])

    def test_status(self):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "kerasrnn"
        call = self.stub.model.GetModelStatus
        (entry,) = call(request, timeout=TIMEOUT).model_version_status
        self.assertEqual((entry.version, entry.state), (1, entry.AVAILABLE))
        self.assertEqual(entry.status.error_code, 0)
        request.model_spec.version.value = 9
        self.assert_status(
            grpc.StatusCode.NOT_FOUND,
            "Could not find version 9 of model kerasrnn",
            call,
            request,
            timeout=TIMEOUT,
        )
        request.model_spec.name = "m"
        self.assert_status(
            grpc.StatusCode.NOT_FOUND,
            "Could not find any versions of model m",
            call,
            request,
            timeout=TIMEOUT,
        )

    def test_metadata(self):
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = "kerasrnn"
        call = self.stub.prediction.GetModelMetadata
        for fields, message in (
            (
                [],
                "GetModelMetadataRequest must specify at least one "
                "metadata_field",
            ),
            (["foo"], "Metadata field foo is not supported"),
        ):
            del request.metadata_field[:]
            request.metadata_field.extend(fields)
            self.assert_status(
                grpc.StatusCode.INVALID_ARGUMENT,
                message,
                call,
                request,
                timeout=TIMEOUT,
            )
        request.metadata_field[:] = ["signature_def"]
        response = call(request, timeout=TIMEOUT)
        self.assertEqual(response.model_spec.version.value, 1)
        definitions = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(definitions)
        definition = definitions.signature_def["generate"]
        self.assertEqual(definition.inputs["seed"].dtype, tf.int64)
        self.assertEqual(
            tf.make_ndarray(definition.defaults["length"]).tolist(), [200]
        )

    def test_health(self):
        for service in ("", "ModelService", "PredictionService"):
            request = health_pb2.HealthCheckRequest(service=service)
            response = self.stub.health.Check(request, timeout=TIMEOUT)
            self.assertEqual(response.status, response.SERVING)
        self.assert_status(
            grpc.StatusCode.NOT_FOUND,
            "unknown service",
            self.stub.health.Check,
            health_pb2.HealthCheckRequest(service="nope"),
            timeout=TIMEOUT,
        )

    def test_watchers_leave_threads_for_others(self):
        watches = [
            self.stub.health.Watch(health_pb2.HealthCheckRequest())
            for _ in range(8)
        ]
        for watch in watches:
            self.assertEqual(
                next(watch).status, health_pb2.HealthCheckResponse.SERVING
            )
        self.assert_status(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "More than 8 watchers.",
            next,
            self.stub.health.Watch(health_pb2.HealthCheckRequest()),
        )
        self.stub.predict("generate", {"prompt": ["a"]})
        for watch in watches:
            watch.cancel()

    def test_a_request_that_is_no_message(self):
        channel = self.enter_context(grpc.insecure_channel(self.server.target))
        for path, name in (
            (api.PREDICT, "PredictRequest"),
            (api.GET_MODEL_STATUS, "GetModelStatusRequest"),
            (api.HEALTH_CHECK, "HealthCheckRequest"),
        ):
            self.assert_status(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"The request is no {name}.",
                channel.unary_unary(path),
                b"\xff" * 100,
                timeout=TIMEOUT,
            )
        self.assertNotIn("Traceback", self.server.errors())

    def test_more_values_than_elements(self):
        request = predict_request("spin", {"count": np.int64([2, 7])})
        tensor = request.inputs["count"]
        tensor.tensor_content = b""
        tensor.int64_val[:] = [2, 3, 9]
        response = self.stub.prediction.Predict(request, timeout=TIMEOUT)
        self.assertEqual(list(response.outputs["counted"].int64_val), [3, 3])

    def test_shapes_are_the_graph_s_to_refuse(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.stub.predict("spin", {"count": np.int64(3)})
        error = raised.exception
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertStartsWith(error.details(), "Invalid reduction dimension")


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
        self.server.process.send_signal(signal.SIGTERM)
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

    def _write_warmup(self, version, inputs):
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.CopyFrom(predict_request("generate", inputs))
        path = version / WARMUP_FILE
        path.parent.mkdir()
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(log.SerializeToString())


if __name__ == "__main__":
    absltest.main()
