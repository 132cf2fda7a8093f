"""The local server's answers, through TensorFlow Serving's official stubs."""

import grpc
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from grpc_health.v1 import health_pb2
from helpers.servers import fake_export
from helpers.servers.official_stubs import TIMEOUT
from helpers.servers.official_stubs import SharedServerTestCase
from helpers.servers.official_stubs import predict_request
from helpers.servers.official_stubs import text_of
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2


class AnswersTest(SharedServerTestCase):
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


class StatusTest(SharedServerTestCase):
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


if __name__ == "__main__":
    absltest.main()
