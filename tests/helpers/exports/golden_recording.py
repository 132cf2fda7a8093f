"""Records what a client and an export of this commit say to each other.

    PYTHONPATH=tests python tests/helpers/exports/golden_recording.py DIRECTORY

writes `export.tar.gz`, a small published version, and `calls.json`, the bytes
of every call that the client made of it and of every reply. Later commits
are held against both (`tests/process/server/compatibility_test.py`): what is
recorded once stays as it is.
"""

import base64
import contextlib
import json
import sys
import tarfile
import tempfile
from concurrent import futures
from pathlib import Path

import grpc
from kerasrnn_export.exporter import export_model
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.local_server import open_versions
from tensorflow_serving.apis import predict_pb2

from helpers.models import small_models
from kerasrnn.config import Config
from kerasrnn.model.char_rnn import CharRNN

MODEL = "kerasrnn"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
UNITS = 8
_TIMEOUT = 60


class Recorder(grpc.GenericRpcHandler):
    """Hands every call on to a server, and keeps its bytes."""

    def __init__(self, target):
        self.calls = []
        self._channel = grpc.insecure_channel(target)

    def service(self, handler_call_details):
        method = handler_call_details.method

        def forward(request, context):
            response = self._channel.unary_unary(method)(
                request, timeout=_TIMEOUT
            )
            self.calls.append(
                {
                    "method": method,
                    "request": base64.b64encode(request).decode(),
                    "response": base64.b64encode(response).decode(),
                }
            )
            return response

        return grpc.unary_unary_rpc_method_handler(forward)


def talk(client: Client) -> None:
    """Makes calls of each kind."""
    client.generate(
        ["", "abc.é€", "Ж🙂\n", "a?z"], length=60, seed=[1, 2, 3, -4]
    )
    client.generate(
        ["ab", "é"],
        length=40,
        temperature=[0.0, 0.7],
        top_k=[0, 4],
        top_p=[1.0, 0.9],
        seed=7,
        stop=["", "a"],
    )
    list(client.stream("hab", length=100, seed=5, stop="🙂🙂"))
    client.score(["abc é Ж€.\nzz 🙂" * 8, "", "z"])
    client.score("ab" * 2500)
    with contextlib.suppress(ServingError):  # The first export has none.
        client.inspect(["abc é", "z🙂"])


def raw_requests():
    """Yields requests as other clients write them, by the official messages."""
    for signature_name in ("generate", "serving_default"):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL
        request.model_spec.signature_name = signature_name
        request.inputs["prompt"].dtype = 7  # DT_STRING
        request.inputs["prompt"].tensor_shape.dim.add().size = 1
        request.inputs["prompt"].string_val.append("abé".encode())
        yield request


def main(directory: str) -> None:
    """Writes both files."""
    directory = Path(directory)
    directory.mkdir(parents=True)
    vocabulary = small_models.make_vocabulary("characters")
    config = small_models.make_config(vocabulary, units=UNITS)
    model = CharRNN(config)
    model.build_weights()
    model.set_weights(small_models.random_weights(config))
    with tempfile.TemporaryDirectory() as scratch:
        version = export_model(model, vocabulary, Config(model=config), scratch)
        with tarfile.open(directory / "export.tar.gz", "w:gz") as archive:
            archive.add(version, arcname=version.name, filter=_anonymous)
        server = LocalServer(open_versions(MODEL, Path(scratch)))
        recorder = Recorder(f"127.0.0.1:{server.start('127.0.0.1', 0)}")
        proxy = grpc.server(futures.ThreadPoolExecutor(4))
        proxy.add_generic_rpc_handlers([recorder])
        target = f"127.0.0.1:{proxy.add_insecure_port('127.0.0.1:0')}"
        proxy.start()
        with Client(target) as client:
            talk(client)
        with grpc.insecure_channel(target) as channel:
            for request in raw_requests():
                channel.unary_unary(PREDICT)(
                    request.SerializeToString(), timeout=_TIMEOUT
                )
        proxy.stop(None)
        server.stop(0)
    calls = json.dumps(recorder.calls, indent=1)
    (directory / "calls.json").write_text(calls + "\n")


def _anonymous(entry):
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main(*sys.argv[1:])
