"""One version of a SavedModel, loaded as TensorFlow Serving loads it.

That is through `tf.compat.v1.saved_model.load` into a session: what
`tf.saved_model.load` accepts may fail there. Checks, their order and their
messages follow TensorFlow Serving's `predict_util.cc`.
"""

import heapq
import re
from collections.abc import Collection
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from kerasrnn_export.graph import operations
from tensorflow.python.saved_model import loader_impl

from kerasrnn.contract import signatures
from kerasrnn.contract import wire
from kerasrnn.errors import UserError
from kerasrnn_serving.server import rpc
from kerasrnn_serving.server.rpc import StatusError
from kerasrnn_serving.server.rpc import invalid
from kerasrnn_serving.server.session_call import SessionCall

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_MAX_WARMUP_REQUESTS = 1000
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# What Python appends to an error of the runtime.
_APPENDED = re.compile(
    r"\n+(Original stack trace for|Detected at node|Errors may have originated"
    r"|Input Source operations|Operation defined at).*",
    re.DOTALL,
)


class Servable:
    """A loaded version; calls may come from many threads at once.

    Attributes:
        session: The `tf.compat.v1.Session` that holds it.
        signatures: `wire.SignatureDef` by name.
    """

    def __init__(
        self, directory: Path, allowed_operations: Collection[str] = ()
    ):
        """Loads `directory` and runs its warmup requests.

        Args:
            directory: Of the SavedModel.
            allowed_operations: That it may have beside those of
                `allowed_ops`; "*" is any.

        Raises:
            StatusError: It is no SavedModel that can be served, it has other
                operations, or one of its warmup requests fails.
        """
        self._graph = tf.Graph()
        options = tf.compat.v1.ConfigProto(allow_soft_placement=True)
        options.gpu_options.allow_growth = True
        self.session = tf.compat.v1.Session(graph=self._graph, config=options)
        try:
            self.signatures = self._load(directory, allowed_operations)
            self._prepared = {
                name: _Prepared(signature)
                for name, signature in self.signatures.items()
            }
            self._call = SessionCall(
                self.session,
                {
                    tensor
                    for prepared in self._prepared.values()
                    for tensor in prepared.tensors()
                },
            )
            self._warm_up(directory / WARMUP_FILE)
        except StatusError:
            self.close()
            raise
        except tf.errors.OpError as error:
            self.close()
            raise _status(error) from None
        except Exception as error:
            # Loading runs TensorFlow's Python code over a file from outside;
            # whatever it raises, this version is not served and others are.
            self.close()
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Could not load {directory}: {error}",
            ) from error

    def _load(self, directory, allowed_operations):
        # What `tf.compat.v1.saved_model.load` is, with the checks between
        # reading the file and running what is in it.
        loader = loader_impl.SavedModelLoader(str(directory))
        _check_operations(loader.saved_model, allowed_operations)
        with self._graph.as_default():
            meta_graph = loader.load(self.session, [tf.saved_model.SERVING])
        return {
            name: wire.SignatureDef.FromString(definition.SerializeToString())
            for name, definition in meta_graph.signature_def.items()
        }

    def _warm_up(self, path):
        if not path.exists():
            return
        records = tf.compat.v1.io.tf_record_iterator(str(path))
        for index, record in enumerate(records):
            if index == _MAX_WARMUP_REQUESTS:
                raise invalid(
                    "Number of warmup records exceeds the maximum of "
                    f"{_MAX_WARMUP_REQUESTS}"
                )
            log = wire.PredictionLog.FromString(record)
            self.predict(log.predict_log.request)

    def predict(self, request, timeout_seconds: float | None = None):
        """Runs one request.

        Args:
            request: A `wire.PredictRequest`.
            timeout_seconds: The computation is stopped after this; None
                never stops it.

        Returns:
            A `wire.PredictResponse` whose `model_spec` names the signature.

        Raises:
            StatusError: With the code and message to answer.
        """
        name = request.model_spec.signature_name or signatures.DEFAULT_NAME
        if name not in self.signatures:
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found.',
            )
        prepared = self._prepared[name]
        feeds = _feeds(prepared, request.inputs)
        aliases = _output_aliases(prepared, request.output_filter)
        outputs = self._run(
            [prepared.outputs[alias] for alias in aliases],
            feeds,
            timeout_seconds,
        )
        response = wire.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.signature_name = name
        for alias, output in zip(aliases, outputs, strict=True):
            _fill_output(response.outputs[alias], output)
        return response

    def _run(self, fetches, feeds, timeout_seconds):
        try:
            return self._call(fetches, feeds, timeout_seconds)
        except tf.errors.OpError as error:
            raise _status(error) from None
        except (TypeError, ValueError) as error:
            # The session checks shapes in Python; the server in the graph.
            raise invalid(str(error)) from None

    def close(self) -> None:
        """Frees the session; no call may be running."""
        self.session.close()


def _check_operations(saved_model, allowed):
    found = operations.not_allowed(saved_model, allowed)
    if found:
        names = ", ".join(found).encode("unicode_escape").decode()
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "It has operations that an export of kerasrnn-export does not "
            f"have there: {names}. Operations "
            "can read and write files; if you trust whoever made it, allow "
            "them by name with --allow_operations.",
        )


class _Prepared:
    """A `wire.SignatureDef` as plain values, which are quicker to read.

    Attributes:
        inputs: (alias, tensor's name, DataType) of each, sorted.
        outputs: Names of tensors by alias, sorted.
        defaults: `wire.Tensor` by alias.
    """

    def __init__(self, signature):
        self.inputs = [
            (alias, info.name, info.dtype)
            for alias, info in sorted(signature.inputs.items())
        ]
        self.outputs = {
            alias: info.name
            for alias, info in sorted(signature.outputs.items())
        }
        self.defaults = dict(signature.defaults.items())

    def tensors(self):
        """Returns the names of all tensors."""
        return [*(name for _, name, _ in self.inputs), *self.outputs.values()]


def _feeds(signature, inputs):
    """Returns {feed name: array}, defaults filled in."""
    _check_input_count(signature, inputs)
    feeds, used = {}, []
    for index, (alias, name, dtype) in enumerate(signature.inputs):
        if alias in inputs:
            tensor = inputs[alias]
            used.append(alias)
        elif alias in signature.defaults:
            tensor = signature.defaults[alias]
        else:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {name}) not "
                "found in request and no default value provided. Inputs "
                f"expected to be in the request {{{_joined(inputs)}}}, or "
                f"default input alias set: {_joined(signature.defaults)}"
            )
        if tensor.dtype != dtype:
            raise invalid(
                f"Expects arg[{index}] to be {wire.dtype_name(dtype)} "
                f"but {wire.dtype_name(tensor.dtype)} is provided"
            )
        try:
            feeds[name] = wire.to_array(tensor)
        except UserError:
            raise invalid(f"tensor parsing error: {alias}") from None
    if len(used) != len(inputs):
        raise invalid(
            "Inputs contains invalid name. Used request inputs: "
            f"{_joined(used)}, request input: {_joined(inputs)}"
        )
    return feeds


def _check_input_count(signature, inputs):
    sent, expected = len(inputs), len(signature.inputs)
    if sent > expected or (sent < expected and not signature.defaults):
        aliases = {alias for alias, _, _ in signature.inputs}
        extra = set(inputs) - aliases
        missing = aliases - set(inputs)
        raise invalid(
            f"input size does not match signature: {sent}!={expected} "
            f"len({{{_joined(inputs)}}}) != "
            f"len({{{_joined(aliases)}}}). "
            f"Sent extra: {{{_joined(extra)}}}. "
            f"Missing but required: {{{_joined(missing)}}}."
        )


def _output_aliases(signature, output_filter):
    seen = []
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs "
                f"expected to be in the set {{{_joined(signature.outputs)}}}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.append(alias)
    return seen or list(signature.outputs)


def _joined(names):
    # A request may have any number of names, and a message ends after so
    # many characters.
    return ",".join(heapq.nsmallest(rpc.MAX_MESSAGE, names))


def _fill_output(tensor, array):
    array = np.asarray(array)
    # Values in the field of their type, as the server sends them unless told
    # otherwise: clients read `float_val` and `string_val`.
    dtype = "string" if array.dtype.hasobject else array.dtype.name
    wire.fill_tensor(tensor, array, dtype, content=False)


def _status(error):
    code = _CODES.get(error.error_code, grpc.StatusCode.UNKNOWN)
    message = error.message.removeprefix("Graph execution error:").lstrip()
    return StatusError(code, _APPENDED.sub("", message))
