"""The model of `fake_export` without TensorFlow, for the local server.

A version is an empty directory with a number for its name. It answers what
`fake_export` says, and keeps the requests that it received.
"""

import contextlib
import re
import string
import threading

import grpc
from kerasrnn_serving.server.limits import Limits
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.model_versions import InUse
from kerasrnn_serving.server.model_versions import ModelVersions
from kerasrnn_serving.server.model_versions import not_found
from kerasrnn_serving.server.rpc import StatusError

from kerasrnn.contract import messages
from kerasrnn.contract import signatures
from kerasrnn.contract import tensors

LETTERS = string.ascii_lowercase
UNITS = 3
_LIMITS = Limits()
_TYPES = {"string": 7, "int32": 3, "int64": 9, "float32": 1}


def expected(version: int, seed: int, length: int, draws: int = 0) -> str:
    """Returns what version `version` generates."""
    first = (version + seed + draws) % 26
    return (LETTERS * (length // 26 + 2))[first : first + length]


def definition(signature: signatures.Signature):
    """Returns the `messages.SignatureDef` of a signature."""
    message = messages.SignatureDef()
    for entry in signature.inputs:
        message.inputs[entry.name].dtype = _TYPES[entry.dtype]
        if entry.default is not None:
            default = entry.default
            if isinstance(default, str):
                default = default.encode()
            message.defaults[entry.name].CopyFrom(
                tensors.to_tensor([default], entry.dtype)
            )
    for entry in signature.outputs:
        output = message.outputs[entry.name]
        output.dtype = _TYPES[entry.dtype]
        for name in entry.shape:
            size = -1 if isinstance(name, str) else name
            output.tensor_shape.dim.add(size=size)
    if "activations" in message.outputs:
        message.outputs["activations"].tensor_shape.dim[2].size = UNITS
    return message


class FakeServable:
    """One version.

    Attributes:
        signatures: `messages.SignatureDef` by name.
        requests: The inputs of each call, as arrays by name.
    """

    def __init__(self, directory):
        self.version = int(directory.name)
        self.closed = False
        self.requests = []
        self.signatures = {
            name: definition(signature)
            for name, signature in signatures.SIGNATURES.items()
        }

    def predict(self, request, call=None):
        name = request.model_spec.signature_name
        inputs = {k: tensors.to_array(v) for k, v in request.inputs.items()}
        self.requests.append(inputs)
        if self.closed:
            raise StatusError(grpc.StatusCode.INTERNAL, "closed")
        names = list(inputs)
        compute = getattr(self, f"_{name}")
        rows = [
            compute(**dict(zip(names, values, strict=True)))
            for values in zip(*inputs.values(), strict=True)
        ]
        response = messages.PredictResponse()
        response.model_spec.signature_name = name
        for entry in signatures.SIGNATURES[name].outputs:
            values = [row[entry.name] for row in rows]
            if entry.rank > 1:
                values = _padded(values)
            response.outputs[entry.name].CopyFrom(
                tensors.to_tensor(values, entry.dtype, content=False)
            )
        return response

    def close(self):
        self.closed = True

    def _generate(
        self,
        prompt,
        state_bytes,
        length,
        temperature,
        top_k,
        top_p,
        seed,
        stop,
        **others,
    ):
        draws, error = _read_token(state_bytes)
        if not 0 <= length <= signatures.MAX_LENGTH:
            error = f"length is {length}."
        if temperature < 0:
            error = "temperature is below 0."
        if len(prompt) > signatures.MAX_PROMPT:
            error = "prompt is too long."
        # Its vocabulary has bytes.
        if len(stop) > signatures.MAX_STOP:
            error = f"stop has more than {signatures.MAX_STOP} characters."
        if error:
            return _refused(signatures.GENERATE, state_bytes, error)
        text = expected(self.version, int(seed), int(length), draws)
        stop = stop.decode()
        stopped = bool(stop) and stop in text
        if stopped:
            text = text[: text.index(stop) + len(stop)]
        return {
            "text": text.encode(),
            "state_bytes": b"fake:%d" % (draws + len(text)),
            "log_prob": -1.0 * len(text),
            "length": len(text),
            "unknown": prompt.count(b"?"),
            "finish": b"stop" if stopped else b"length",
            "error": b"",
        }

    def _score(self, text, state_bytes):
        draws, error = _read_token(state_bytes)
        if error:
            return {
                **_refused(signatures.SCORE, state_bytes, error),
                "character_log_probs": [],
            }
        characters = text.decode()
        log_probs = [0.0 if c == "?" else -0.5 for c in characters]
        length = len(characters) - characters.count("?")
        return {
            "log_prob": sum(log_probs),
            "length": length,
            "bits_per_character": 0.0,
            "character_log_probs": log_probs,
            "state_bytes": b"fake:%d" % (draws + length),
            "unknown": characters.count("?"),
            "error": b"",
        }

    def _inspect(self, text, state_bytes):
        draws, _ = _read_token(state_bytes)
        characters = [c.encode() for c in text.decode()]
        return {
            "characters": characters,
            "activations": [[1.0, -1.0, 0.0] for _ in characters],
            "top_characters": [[c] * 5 for c in characters],
            "top_log_probs": [[0.0, -1, -2, -3, -4] for _ in characters],
            "length": len(characters),
            "state_bytes": b"fake:%d" % (draws + len(characters)),
            "error": b"",
        }


class OwnTokensServable(FakeServable):
    """A version that refuses the tokens of others, as those of exports do."""

    def _generate(self, **inputs):
        return self._with_own_tokens(super()._generate, **inputs)

    def _score(self, **inputs):
        return self._with_own_tokens(super()._score, **inputs)

    def _inspect(self, **inputs):
        return self._with_own_tokens(super()._inspect, **inputs)

    def _with_own_tokens(self, compute, state_bytes, **inputs):
        own = b"version %d, " % self.version
        row = compute(state_bytes=state_bytes.removeprefix(own), **inputs)
        if state_bytes and not state_bytes.startswith(own):
            lists = {k: [] for k, v in row.items() if isinstance(v, list)}
            error = b"state_bytes comes from another model."
            return {**row, **lists, "length": 0, "error": error}
        return {**row, "state_bytes": own + row["state_bytes"]}


def _read_token(state_bytes):
    match = re.fullmatch(rb"fake:(\d+)", state_bytes)
    error = "" if match or not state_bytes else "state_bytes is damaged."
    return int(match[1]) if match else 0, error


def _refused(signature, state_bytes, error):
    values = {
        entry.name: b"" if entry.dtype == "string" else 0
        for entry in signature.outputs
    }
    if "finish" in values:
        values["finish"] = b"error"
    return {**values, "state_bytes": state_bytes, "error": error.encode()}


def _padded(rows):
    longest = max(map(len, rows), default=0)
    example = next((row[0] for row in rows if row), 0.0)
    fill = _zero_of(example)
    return [[*row, *[fill] * (longest - len(row))] for row in rows]


def _zero_of(value):
    if isinstance(value, list):
        return [_zero_of(entry) for entry in value]
    return b"" if isinstance(value, bytes) else 0.0


class FakeServer:
    """The local server over versions of the fake, in this process.

    Attributes:
        target: Its address.
        versions: Its `ModelVersions`.
        loaded: The versions' `FakeServable` by number.

    Args:
        servable_class: What makes a servable of a version's directory.
        keeps_versions: Whether each stays in service when the next comes, as
            with a version policy of TensorFlow Serving.
    """

    def __init__(
        self,
        directory,
        credentials=None,
        port=0,
        servable_class=FakeServable,
        keeps_versions=False,
        limits=_LIMITS,
    ):
        self.directory = directory
        self.loaded = {}
        self._servable_class = servable_class
        self._keeps_versions = keeps_versions
        self._lock = threading.Lock()
        self.versions = ModelVersions("kerasrnn", directory, self._load)
        if keeps_versions:
            self.versions.use = self._use_any
        self.publish(1)
        self._server = LocalServer(self.versions, credentials, limits)
        self.port = self._server.start("127.0.0.1", port)
        self.target = f"127.0.0.1:{self.port}"

    def _load(self, directory):
        servable = self._servable_class(directory)
        if self._keeps_versions:
            servable.close = lambda: None
        self.loaded[servable.version] = servable
        return servable

    @contextlib.contextmanager
    def _use_any(self, version=None):
        servable = self.loaded.get(version or max(self.loaded))
        if servable is None:
            raise not_found("kerasrnn", version)
        yield InUse(servable.version, servable)

    def publish_after(self, calls: int, *names: str) -> None:
        """Publishes the next version once the one in service has had calls.

        Args:
            calls: How many.
            names: Of the signatures whose calls count; none is all.
        """
        old = self.versions.version
        servable = self.loaded[old]
        predict, count, lock = servable.predict, 0, threading.Lock()

        def counting(request, call=None):
            nonlocal count
            response = predict(request, call)
            with lock:
                name = request.model_spec.signature_name
                count += name in (names or (name,))
                if count == calls and self.versions.version == old:
                    self.publish(old + 1)
            return response

        servable.predict = counting

    def publish(self, version: int) -> None:
        """Makes the version, and has it swapped in."""
        (self.directory / str(version)).mkdir()
        self.versions.poll()

    @property
    def requests(self) -> list:
        """The inputs of all calls of the version in service."""
        return self.loaded[self.versions.version].requests

    def stop(self) -> None:
        """Ends it."""
        self._server.stop(0)
