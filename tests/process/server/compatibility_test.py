"""Earlier clients and exports work with those of today, both ways.

`tests/data/golden` holds, for each release, an export and every byte that its
client and it said to each other (`tests/helpers/exports/golden_recording.py`).
"""

import base64
import json
import tarfile
import tempfile
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import golden_recording
from helpers.sources.repository import ROOT
from kerasrnn_export.graph import archive
from kerasrnn_export.graph import state_token
from kerasrnn_export.graph.sampler import Sampler
from kerasrnn_export.release import manifest
from kerasrnn_serving.client import Client
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.local_server import open_versions
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import predict_pb2

from kerasrnn.config import Config
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.step.flat_weights import layout

GOLDEN = ROOT / "tests" / "data" / "golden"
RELEASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
WHO = ("earlier export", "export of today")
# Releases whose seeds drew other texts from the same model.
OTHER_DRAWS = ("0.1.0",)
_TIMEOUT = 60
# What stands before the states in a token.
_FIXED = state_token.HEADER_LENGTH + 4 * state_token.FIXED_WORDS
_CHECKSUM = slice(
    state_token.HEADER_LENGTH - state_token.CHECKSUM_LENGTH,
    state_token.HEADER_LENGTH,
)


class Golden:
    """A release: its export and one of today's of its model, both served."""

    def __init__(self, release, scratch):
        folder = GOLDEN / release
        self.calls = json.loads((folder / "calls.json").read_text())
        for call in self.calls:
            for name in ("request", "response"):
                call[name] = base64.b64decode(call[name])
        earlier, today = scratch / "earlier", scratch / "today"
        with tarfile.open(folder / "export.tar.gz") as archive:
            archive.extractall(earlier, filter="data")
        self.version = earlier / "1"
        self._export_again(today)
        self.targets, self._servers = {}, []
        for who, directory in zip(WHO, (earlier, today), strict=True):
            server = LocalServer(
                open_versions(golden_recording.MODEL, directory)
            )
            port = server.start("127.0.0.1", 0)
            self.targets[who] = f"127.0.0.1:{port}"
            self._servers.append(server)

    def _export_again(self, directory):
        contents = manifest.read(self.version)
        config = Config.from_json(json.dumps(contents["config"]))
        reader = tf.train.load_checkpoint(
            str(self.version / "variables" / "variables")
        )
        name = "_variables/{}/.ATTRIBUTES/VARIABLE_VALUE"
        weights = [
            reader.get_tensor(name.format(index))
            for index in range(len(layout(config.model).names))
        ]
        vocabulary = Vocabulary.from_json(json.dumps(contents["vocabulary"]))
        sampler = Sampler(config.model, weights, vocabulary)
        archive.write(sampler, directory / "1")

    def predictions(self):
        """Yields `(request, response)` of each Predict."""
        for call in self.calls:
            if call["method"] == golden_recording.PREDICT:
                yield (
                    predict_pb2.PredictRequest.FromString(call["request"]),
                    predict_pb2.PredictResponse.FromString(call["response"]),
                )

    def close(self):
        for server in self._servers:
            server.stop(0)


class CompatibilityTest(parameterized.TestCase):
    golden = {}

    def setUp(self):
        super().setUp()
        for release in RELEASES:
            if release not in self.golden:
                scratch = Path(
                    self.enterClassContext(tempfile.TemporaryDirectory())
                )
                self.golden[release] = Golden(release, scratch)
                self.addClassCleanup(self.golden[release].close)

    def test_there_are_golden_files_and_they_are_small(self):
        self.assertNotEmpty(RELEASES)
        for release in RELEASES:
            sizes = [p.stat().st_size for p in (GOLDEN / release).iterdir()]
            self.assertBetween(sum(sizes), 1, 300_000)

    @parameterized.product(release=RELEASES, who=WHO)
    def test_what_an_earlier_client_said_is_answered_as_then(
        self, release, who
    ):
        golden = self.golden[release]
        with grpc.insecure_channel(golden.targets[who]) as channel:
            for call in golden.calls:
                received = channel.unary_unary(call["method"])(
                    call["request"], timeout=_TIMEOUT
                )
                if call["method"] == golden_recording.PREDICT:
                    request = predict_pb2.PredictRequest.FromString(
                        call["request"]
                    )
                    rows = slice(None)
                    if who == WHO[1] and release in OTHER_DRAWS:
                        rows = _rows_without_draws(request)
                    self._assert_same_prediction(
                        call["response"], received, rows
                    )
                else:
                    self._assert_same_metadata(call["response"], received)

    def _assert_same_prediction(self, expected, received, rows):
        expected = predict_pb2.PredictResponse.FromString(expected)
        received = predict_pb2.PredictResponse.FromString(received)
        self.assertEqual(expected.model_spec, received.model_spec)
        # More outputs than then are fine; each one of then is still there.
        for name, value in expected.outputs.items():
            value = tf.make_ndarray(value)
            other = tf.make_ndarray(received.outputs[name])
            self.assertEqual(value.dtype, other.dtype, name)
            self.assertEqual(value.shape, other.shape, name)
            value, other = value[rows], other[rows]
            if name == "state_bytes":
                for pair in zip(value, other, strict=True):
                    self._assert_same_state(*pair)
            elif value.dtype == np.float32:
                np.testing.assert_allclose(
                    other, value, rtol=1e-5, atol=1e-4, err_msg=name
                )
            else:
                np.testing.assert_array_equal(other, value, err_msg=name)

    def _assert_same_state(self, expected, received):
        for part in (slice(0, _CHECKSUM.start), slice(_CHECKSUM.stop, _FIXED)):
            self.assertEqual(expected[part], received[part])
        np.testing.assert_allclose(
            np.frombuffer(received[_FIXED:], "<f4"),
            np.frombuffer(expected[_FIXED:], "<f4"),
            atol=1e-5,
        )

    def _assert_same_metadata(self, expected, received):
        expected, received = map(_signature_definitions, (expected, received))
        for name, signature in expected.items():
            now = received[name]
            for alias, default in signature.defaults.items():
                self.assertEqual(default, now.defaults[alias])
            # An input that was not there then has a default.
            new = set(now.inputs) - set(signature.inputs)
            self.assertLessEqual(new, set(now.defaults))
            for side in ("inputs", "outputs"):
                entries = getattr(now, side)
                for alias, info in getattr(signature, side).items():
                    self.assertEqual(info.dtype, entries[alias].dtype)
                    self.assertLen(
                        entries[alias].tensor_shape.dim,
                        len(info.tensor_shape.dim),
                    )

    @parameterized.product(release=RELEASES)
    def test_todays_client_uses_an_earlier_export(self, release):
        golden = self.golden[release]
        compared = 0
        with Client(golden.targets["earlier export"]) as client:
            for request, response in golden.predictions():
                values = {
                    name: tf.make_ndarray(tensor).tolist()
                    for name, tensor in request.inputs.items()
                }
                expected = {
                    name: tf.make_ndarray(tensor)
                    for name, tensor in response.outputs.items()
                }
                name = request.model_spec.signature_name
                if name == "generate" and len(values) > 1:
                    results = client.generate(values.pop("prompt"), **values)
                    texts = [result.text.encode() for result in results]
                    self.assertEqual(texts, expected["text"].tolist())
                    compared += len(texts)
                elif name in ("score", "inspect"):
                    results = getattr(client, name)(
                        values.pop("text"), **values
                    )
                    for index, result in enumerate(results):
                        self._assert_same_state(
                            expected["state_bytes"][index], result.state_bytes
                        )
                    compared += len(results)
        self.assertGreater(compared, 5)

    @parameterized.product(release=RELEASES)
    def test_todays_describe_reads_an_earlier_manifest(self, release):
        text, intact = manifest.describe(self.golden[release].version)
        self.assertTrue(intact)
        self.assertIn(f"by kerasrnn {release}", text)

    @parameterized.product(release=RELEASES)
    def test_tokens_go_from_the_earlier_export_to_todays_and_back(
        self, release
    ):
        golden = self.golden[release]
        with (
            Client(golden.targets["earlier export"]) as earlier,
            Client(golden.targets["export of today"]) as today,
        ):
            options = {"seed": 3}
            if release in OTHER_DRAWS:
                options["temperature"] = 0.0
            (whole,) = earlier.generate("ab é", length=120, **options)
            text, state, prompt = "", b"", "ab é"
            for client in (earlier, today, earlier, today):
                (row,) = client.generate(
                    prompt, length=30, state_bytes=state, **options
                )
                text += row.text
                state, prompt = row.state_bytes, ""
            self.assertEqual(text, whole.text)


def _rows_without_draws(request):
    """Returns the numbers of the rows whose answer no seed decides."""
    if request.model_spec.signature_name in ("score", "inspect"):
        return slice(None)
    if "temperature" not in request.inputs:
        return []
    return np.flatnonzero(tf.make_ndarray(request.inputs["temperature"]) == 0)


def _signature_definitions(response):
    response = get_model_metadata_pb2.GetModelMetadataResponse.FromString(
        response
    )
    definitions = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(definitions)
    return definitions.signature_def


if __name__ == "__main__":
    absltest.main()
