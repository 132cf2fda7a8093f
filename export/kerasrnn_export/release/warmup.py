"""Requests that a server runs before it answers strangers.

The first call of a signature is slow, and TensorFlow Serving makes it while
it loads the version, from `assets.extra/tf_serving_warmup_requests`: records
of `PredictionLog`.
"""

import itertools
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_log_pb2

from kerasrnn.contract import signatures
from kerasrnn.foundation.paths import StrPath
from kerasrnn_export.graph.archive import EXPORTED
from kerasrnn_export.graph.archive import file_errors

FILE = "assets.extra/tf_serving_warmup_requests"

# Long enough for every part of `score` to run.
_TEXT_LENGTH = 64 + 8 + 1
_LENGTH = 8


def write(directory: StrPath, characters: Sequence[str]) -> None:
    """Writes a SavedModel's warmup requests.

    Args:
        directory: Of the SavedModel.
        characters: `Vocabulary.characters`; the requests are made of them.

    Raises:
        OSError: They could not be written.
    """
    path = Path(directory) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_errors(), tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests(characters):
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def requests(
    characters: Sequence[str],
) -> Iterator[predict_pb2.PredictRequest]:
    """Yields `PredictRequest`s: each signature, of one row and of many."""
    repeated = itertools.islice(itertools.cycle(characters), _TEXT_LENGTH)
    text = "".join(repeated)
    for signature in EXPORTED:
        for rows in (1, signatures.MAX_ROWS):
            # `serving_default` generates as much as the export says.
            if signature is signatures.SERVING_DEFAULT and rows > 1:
                continue
            yield _request(signature, rows, text)


def _request(signature, rows, text):
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature.name
    values = {entry.name: entry.default for entry in signature.inputs}
    values[signature.inputs[0].name] = text.encode()
    if signature is signatures.GENERATE:
        values |= {"length": _LENGTH, "top_k": 2, "top_p": 0.9}
    for entry in signature.inputs:
        request.inputs[entry.name].CopyFrom(
            tf.make_tensor_proto([values[entry.name]] * rows, entry.dtype)
        )
    return request
