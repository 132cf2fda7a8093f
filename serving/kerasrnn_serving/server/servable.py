"""One version of a SavedModel, loaded as TensorFlow Serving loads it.

That is its MetaGraph, as `tf.compat.v1.saved_model.load` has it: what
`tf.saved_model.load` accepts may fail there.
"""

import contextlib
import re
import threading
from collections.abc import Collection
from collections.abc import Mapping
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.python.eager.cancellation import CancellationManager

from kerasrnn.contract import messages
from kerasrnn.contract import signatures
from kerasrnn.contract import tensors
from kerasrnn_serving.server.batching import BatcherBySize
from kerasrnn_serving.server.limits import Batching
from kerasrnn_serving.server.request_checks import PreparedSignature
from kerasrnn_serving.server.request_checks import feeds_of
from kerasrnn_serving.server.request_checks import output_aliases
from kerasrnn_serving.server.rpc import StatusError
from kerasrnn_serving.server.rpc import invalid
from kerasrnn_serving.server.saved_graph import SavedGraph
from kerasrnn_serving.server.work import Call

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_MAX_WARMUP_REQUESTS = 1000
# Sets of outputs of a signature that have functions of their own.
_MAX_FILTERS = 32
# Inputs that say how much work a call is, and their types.
_SIZES = {
    "prompt": tf.string.as_datatype_enum,
    "text": tf.string.as_datatype_enum,
    "length": tf.int32.as_datatype_enum,
}
# Of which some outputs have a place for each character.
_TEXT = "text"
# Sizes below 2 to this power count as the same.
_LEAST_BITS = 5
_DEFAULT_BATCHING = Batching()
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
        signatures: `messages.SignatureDef` by name.
    """

    def __init__(
        self,
        directory: Path,
        allowed_operations: Collection[str] = (),
        batching: Batching = _DEFAULT_BATCHING,
    ):
        """Loads `directory` and runs its warmup requests.

        Args:
            directory: Of the SavedModel.
            allowed_operations: Those that it may have in addition to
                `allowed_ops`; "*" is any.
            batching: How calls that wait are merged.

        Raises:
            StatusError: It is no SavedModel that can be served, it has other
                operations, or one of its warmup requests fails.
        """
        with contextlib.ExitStack() as stack:
            try:
                graph = SavedGraph(directory, allowed_operations)
                stack.callback(graph.close)
                self.signatures = graph.signatures
                self._prepared = {
                    name: _Signature(name, signature, graph, batching)
                    for name, signature in self.signatures.items()
                }
                self._warm_up(directory / WARMUP_FILE)
            except StatusError:
                raise
            except tf.errors.OpError as error:
                raise _status(error) from None
            except Exception as error:
                # Loading runs TensorFlow's Python code over a file from
                # outside; whatever it raises, this version is not served and
                # others are.
                raise StatusError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Could not load {directory}: {error}",
                ) from error
            stack.pop_all()
            self._graph = graph

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
            log = messages.PredictionLog.FromString(record)
            self.predict(log.predict_log.request)

    def predict(
        self, request: messages.PredictRequest, call: Call | None = None
    ) -> messages.PredictResponse:
        """Runs one request.

        Args:
            request: What to run, and on what.
            call: Whose end stops the computation; None never stops it.

        Returns:
            The reply; its `model_spec` names the signature.

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
        feeds = feeds_of(prepared, request.inputs)
        aliases = output_aliases(prepared, request.output_filter)
        outputs = self._run(prepared, feeds, aliases, call or Call())
        response = messages.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.signature_name = name
        for alias in aliases:
            _fill_output(response.outputs[alias], outputs[alias])
        return response

    def compute(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict:
        """Returns all outputs by alias, as `predict` does without messages.

        Args:
            name: The signature's.
            inputs: By alias, all of them.

        Raises:
            StatusError: The computation failed.
        """
        prepared = self._prepared[name]
        feeds = {tensor: inputs[a] for a, tensor, _ in prepared.inputs}
        return self._run(prepared, feeds, list(prepared.outputs), Call())

    def _run(self, signature, feeds, aliases, call):
        try:
            return signature.run(feeds, aliases, call)
        except tf.errors.OpError as error:
            raise call.error or _status(error) from None
        except (TypeError, ValueError) as error:
            # An array that cannot be one of the tensor's type.
            raise invalid(str(error)) from None

    def close(self) -> None:
        """Frees it; no call may be running."""
        self._graph.close()


class _Signature(PreparedSignature):
    """A signature, and the functions that compute its outputs."""

    def __init__(self, name, signature, graph, batching):
        super().__init__(signature)
        self._by_character = _outputs_by_character(name, signature)
        self._graph = graph
        self._batching = batching
        self._feeds = dict.fromkeys(name for _, name, _ in self.inputs)
        self._sizing = [
            name
            for alias, name, dtype in self.inputs
            if _SIZES.get(alias) == dtype
        ]
        self._lock = threading.Lock()
        self._functions = {}
        # A signature that only initializes has outputs that are none: calls
        # are told, and the others are served.
        with contextlib.suppress(StatusError):
            self._function(list(self.outputs))

    def run(self, feeds, aliases, call):
        """Returns the outputs by alias."""
        aliases, function = self._function(sorted(aliases))
        arrays = [feeds[name] for name in self._feeds]
        size = _size([feeds[name] for name in self._sizing])
        outputs = function(arrays, call, size)
        named = dict(zip(aliases, outputs, strict=True))
        if self._by_character:
            self._cut(named, feeds)
        return named

    def _cut(self, outputs, feeds):
        """Takes out the room for longer rows, of calls merged with this one.

        A text has at most as many characters as bytes.
        """
        (text,) = (name for alias, name, _ in self.inputs if alias == _TEXT)
        longest = max(map(len, feeds[text].ravel()), default=0)
        for alias in self._by_character & set(outputs):
            if np.ndim(outputs[alias]) > 1:
                outputs[alias] = outputs[alias][:, :longest]

    def _function(self, aliases):
        """Returns a function that has these outputs, and its outputs."""
        key = tuple(aliases)
        made = self._functions.get(key)
        if made is None:
            with self._lock:
                if len(self._functions) > _MAX_FILTERS:
                    # Whoever asks for ever other sets gets what is there.
                    key = tuple(self.outputs)
                made = self._functions.get(key) or self._made(key)
                self._functions[key] = made
        return key, made

    def _made(self, aliases):
        function = self._graph.function(
            self._feeds, [self.outputs[alias] for alias in aliases]
        )
        if self._batching.max_batch_size > 1:
            return BatcherBySize(function, CancellationManager, self._batching)

        def alone(arrays, call, size):
            manager = CancellationManager()
            call.on_end(manager.start_cancel)
            return function(arrays, manager)

        return alone


def _outputs_by_character(name, signature):
    """Returns which outputs have a place for each character of the text.

    There are none of a signature that is not the contract's: whoever made it
    may mean something else by its dimensions.
    """
    ours = signatures.SIGNATURES.get(name)
    if ours is None:
        return frozenset()
    inputs = {entry.name for entry in ours.inputs}
    outputs = {entry.name for entry in ours.outputs}
    if (
        _TEXT not in inputs
        or not inputs <= set(signature.inputs)
        or not outputs <= set(signature.outputs)
        or signature.inputs[_TEXT].dtype != _SIZES[_TEXT]
    ):
        return frozenset()
    return frozenset(e.name for e in ours.outputs if "T" in e.shape)


def _size(arrays):
    """Returns what distinguishes long calls from short ones.

    A batch takes as long as its longest row, so only calls of about the same
    size are merged: the longest string and the largest number, as powers of
    two.

    Args:
        arrays: The inputs that say how much work the call is.
    """
    sizes = []
    for array in arrays:
        if array.dtype.hasobject:
            longest = max(map(len, array.ravel()), default=0)
        else:
            longest = max(int(array.max(initial=0)), 0)
        sizes.append(max(longest.bit_length(), _LEAST_BITS))
    return tuple(sizes)


def _fill_output(tensor, value):
    # A string that is no array: of NumPy it would be another type.
    is_text = isinstance(value, bytes)
    array = np.asarray(value, object if is_text else None)
    # Values in the field of their type, as the server sends them unless told
    # otherwise: clients read `float_val` and `string_val`.
    dtype = "string" if array.dtype.hasobject else array.dtype.name
    try:
        tensors.fill_tensor(tensor, array, dtype, content=False)
    except KeyError:
        raise StatusError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"This server does not send tensors of {dtype}.",
        ) from None


def _status(error):
    code = _CODES.get(error.error_code, grpc.StatusCode.UNKNOWN)
    message = error.message.removeprefix("Graph execution error:").lstrip()
    return StatusError(code, _APPENDED.sub("", message))
