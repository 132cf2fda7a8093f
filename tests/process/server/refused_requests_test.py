"""What the local server refuses, and what it says then."""

import grpc
import numpy as np
from absl.testing import absltest
from helpers.servers.official_stubs import TIMEOUT
from helpers.servers.official_stubs import SharedServerTestCase
from helpers.servers.official_stubs import predict_request
from tensorflow_serving.apis import predict_pb2

from kerasrnn.contract import api


class RefusalsTest(SharedServerTestCase):
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


if __name__ == "__main__":
    absltest.main()
