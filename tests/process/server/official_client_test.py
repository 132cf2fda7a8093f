"""Clients that are none of ours: what docs/client.md says of them holds.

The Python client of the page runs against a real export; the bodies of its
REST calls hold what the signatures take, and, sent as tensors, give text.
"""

import base64
import contextlib
import io
import json
import re
import shlex
import tempfile
from pathlib import Path

import grpc
import tensorflow as tf
from absl.testing import absltest
from helpers.models import small_models
from helpers.sources.repository import ROOT
from kerasrnn_export.graph import archive
from kerasrnn_export.graph.options import SamplerOptions
from kerasrnn_export.graph.sampler import Sampler
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.local_server import open_versions
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from kerasrnn.contract import signatures
from kerasrnn.model.text_generator import TextGenerator

_PAGE = ROOT / "docs" / "client.md"
_ADDRESS = "localhost:8500"


class OfficialClientTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        vocabulary = small_models.make_vocabulary("characters")
        config = small_models.make_config(vocabulary)
        weights = small_models.random_weights(config)
        archive.write(
            Sampler(config, weights, vocabulary, SamplerOptions()),
            directory / "1",
        )
        server = LocalServer(open_versions("kerasrnn", directory))
        cls.target = f"localhost:{server.start('127.0.0.1', 0)}"
        cls.addClassCleanup(server.stop, 0)
        cls.generator = TextGenerator(config, vocabulary)
        cls.weights = [tf.constant(weight) for weight in weights]

    def _live(self, **options):
        chunks = self.generator.stream(self.weights, **options)
        return "".join(chunk.text for chunk in chunks)

    def test_the_page_s_python_client(self):
        (code,) = [
            block
            for block in re.findall(
                r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL
            )
            if "tensorflow_serving" in block
        ]
        self.assertIn(_ADDRESS, code)
        self.assertNotIn("kerasrnn_", code)
        # A model's first call takes long where others use the processor too.
        self.assertIn("timeout=10", code)
        code = code.replace("timeout=10", "timeout=300")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(  # noqa: S102
                code.replace(_ADDRESS, self.target), {"__name__": "page"}
            )
        self.assertEqual(
            printed.getvalue(),
            self._live(prompt="Once upon", length=120, seed=7),
        )

    def _bodies(self):
        """Returns the JSON of each curl command, by its signature."""
        bodies = {}
        for line in _PAGE.read_text().splitlines():
            if line.strip().startswith("curl -d"):
                _, _, body, url = shlex.split(line)
                self.assertEndsWith(url, "/v1/models/kerasrnn:predict")
                body = json.loads(body)
                name = body.pop("signature_name", signatures.DEFAULT_NAME)
                bodies[name] = body
        return bodies

    def test_the_page_s_rest_calls(self):
        bodies = self._bodies()
        self.assertEqual(set(bodies), {"generate", "serving_default"})
        with grpc.insecure_channel(self.target) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for name, body in bodies.items():
                request = self._as_request(name, body)
                response = stub.Predict(request, timeout=60)
                (text,) = response.outputs["text"].string_val
                self.assertGreater(len(text.decode()), 50)
                if name == "generate":
                    self.assertEqual(
                        text.decode(),
                        self._live(
                            prompt="ROMEO:", length=200, temperature=0.8, seed=1
                        ),
                    )

    def _as_request(self, name, body):
        """Does what the server does with a body: no defaults, one type each."""
        signature = signatures.SIGNATURES[name]
        self.assertEqual(set(body), {"instances"})
        rows = body["instances"]
        if len(signature.inputs) == 1 and not isinstance(rows[0], dict):
            rows = [{signature.inputs[0].name: value} for value in rows]
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "kerasrnn"
        request.model_spec.signature_name = name
        for row in rows:
            self.assertEqual(
                set(row), {entry.name for entry in signature.inputs}
            )
        for entry in signature.inputs:
            values = [_plain(row[entry.name]) for row in rows]
            kind = {"string": str | bytes, "float32": float}.get(
                entry.dtype, int
            )
            for value in values:
                self.assertIsInstance(value, kind)
            request.inputs[entry.name].CopyFrom(
                tf.make_tensor_proto(values, tf.as_dtype(entry.dtype))
            )
        return request


def _plain(value):
    if isinstance(value, dict):
        (encoded,) = value.values()
        return base64.b64decode(encoded)
    return value


if __name__ == "__main__":
    absltest.main()
