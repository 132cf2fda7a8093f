"""No request keeps a server busy for longer than its limits and deadline."""

import tempfile
from pathlib import Path

import grpc
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.models import small_models
from kerasrnn_export.graph import archive
from kerasrnn_export.graph.options import SamplerOptions
from kerasrnn_export.graph.sampler import Sampler
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.local_server import open_versions
from kerasrnn_serving.server.work import RUNNING
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from kerasrnn.contract import signatures

# An export may raise its limits; minutes of work in one call.
RAISED = SamplerOptions(max_length=2**20, max_prompt=2**20)
_TIMEOUT = 60
_DEADLINE = 0.3
# More than the server has threads.
_CALLS = RUNNING + 4


def _request(name, text, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "kerasrnn"
    request.model_spec.signature_name = name
    signature = signatures.SIGNATURES[name]
    inputs[signature.inputs[0].name] = text
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(
            tf.make_tensor_proto([value], signature.input(key).dtype)
        )
    return request


class BoundedWorkTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        vocabulary = small_models.make_vocabulary("characters")
        config = small_models.make_config(vocabulary)
        weights = small_models.random_weights(config)
        sampler = Sampler(config, weights, vocabulary, RAISED)
        archive.write(sampler, directory / "1")
        server = LocalServer(open_versions("kerasrnn", directory))
        port = server.start("127.0.0.1", 0)
        cls.addClassCleanup(server.stop, 0)
        channel = cls.enterClassContext(
            grpc.insecure_channel(f"127.0.0.1:{port}")
        )
        cls.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    @parameterized.parameters(
        ("generate", "", {"length": RAISED.max_length}),
        # The general loop: with a stop string that never comes.
        ("generate", "", {"length": RAISED.max_length, "stop": "zz"}),
        ("generate", "a" * RAISED.max_prompt, {"length": 0}),
        ("score", "a" * RAISED.max_prompt, {}),
        ("inspect", "a" * RAISED.max_prompt, {}),
    )
    def test_a_deadline_ends_the_loop(self, name, text, inputs):
        """Loops that went on would hold all of the server's threads."""
        request = _request(name, text, **inputs)
        calls = [
            self.stub.Predict.future(request, timeout=_DEADLINE)
            for _ in range(_CALLS)
        ]
        codes = {call.code() for call in calls}
        self.assertEqual(codes, {grpc.StatusCode.DEADLINE_EXCEEDED})
        response = self.stub.Predict(
            _request("generate", "ab", length=3), timeout=_TIMEOUT
        )
        self.assertEqual(list(response.outputs["error"].string_val), [b""])
        self.assertEqual(list(response.outputs["length"].int_val), [3])

    @parameterized.parameters(
        ("generate", "a" * (signatures.MAX_PROMPT + 1), {}),
        ("generate", "", {"length": signatures.MAX_LENGTH + 1}),
        ("score", "a" * (signatures.MAX_PROMPT + 1), {}),
        ("inspect", "a" * (signatures.MAX_PROMPT + 1), {}),
    )
    def test_what_is_above_a_limit_is_refused(self, name, text, inputs):
        served = served_signatures.Exported.of("lstm")
        first = signatures.SIGNATURES[name].inputs[0].name
        (row,) = served(name, [{first: text, **inputs}])
        self.assertRegex(row["error"].decode(), "state_bytes")
        self.assertEqual(row["length"], 0)
        # At the limit it is done.
        (row,) = served(
            name, [{first: text[:-1], **{k: v - 1 for k, v in inputs.items()}}]
        )
        self.assertEqual(row["error"], b"")


if __name__ == "__main__":
    absltest.main()
