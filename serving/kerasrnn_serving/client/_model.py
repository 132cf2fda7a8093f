"""One model on a server: its signatures, called on arrays.

Requests are checked against the model's own metadata before they are sent,
since a wrong one fails all requests that the server has merged with it.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from kerasrnn.contract import signatures
from kerasrnn.contract import wire
from kerasrnn.errors import UserError
from kerasrnn_serving.client import errors
from kerasrnn_serving.client._connection.exchange import Call
from kerasrnn_serving.client._connection.exchange import Conversation
from kerasrnn_serving.client.errors import ServingError

_NUMPY_DTYPES = {
    entry.dtype: np.dtype("object" if entry.dtype == "string" else entry.dtype)
    for signature in signatures.SIGNATURES.values()
    for entry in (*signature.inputs, *signature.outputs)
}
_MAX_KNOWN = 4


@dataclasses.dataclass(frozen=True)
class Answer:
    """Outputs of a call, with the version that computed them.

    Attributes:
        outputs: Arrays by name; strings are bytes objects.
        version: The model's version.
    """

    outputs: Mapping[str, np.ndarray]
    version: int


@dataclasses.dataclass
class _Definitions:
    """The signatures of a version, and the inputs to add to those checked."""

    by_name: Mapping
    checked: dict = dataclasses.field(default_factory=dict)


class Model:
    """Describes calls of one model's signatures; sends nothing itself.

    Args:
        target: Address of its server, for messages.
        name: Its name there.
        version: The version to ask for; None is the newest.
    """

    def __init__(self, target: str, name: str, version: int | None):
        self._target = target
        self._name = name
        self._version = version
        self._known = {}
        self._newest = None

    def call(
        self,
        signature: signatures.Signature,
        inputs: Mapping[str, list],
        version: int | None = None,
    ) -> Conversation:
        """Runs a signature on N rows; returns the `Answer`.

        Args:
            signature: Which.
            inputs: A list of N values for each of its inputs.
            version: The version to ask for; None is the model's.

        Raises:
            ServingError: The call failed, a row was refused, or the model
                is not one of ours.
        """
        try:
            return (yield from self._call(signature, inputs, version))
        except ServingError as error:
            # A version that the user did not ask for was there before.
            if error.code != "NOT_FOUND" or version in (None, self._version):
                raise
            raise errors.version_gone(version, error) from None

    def output_dimensions(
        self, signature: signatures.Signature, output: str
    ) -> Conversation:
        """Returns (size, name) of each dimension; an unknown size is -1.

        There are none where the model does not say them.
        """
        definitions = yield from self._definitions(self._version)
        # To look up what is not in a map of a message would put it there.
        if signature.name not in definitions.by_name:
            return []
        outputs = definitions.by_name[signature.name].outputs
        if output not in outputs:
            return []
        shape = outputs[output].tensor_shape
        return [(dim.size, dim.name) for dim in shape.dim]

    def _definitions(self, version):
        known = self._newest if version is None else version
        definitions = self._known.get(known)
        if definitions is None:
            definitions = yield from self._fetch_signatures(version)
        return definitions

    def _call(self, signature, inputs, version):
        version = self._version if version is None else version
        definitions = yield from self._definitions(version)
        extra = definitions.checked.get(signature.name)
        if extra is None:
            extra = self._extra_inputs(signature, definitions.by_name)
            definitions.checked[signature.name] = extra
        request = self._request(signature, inputs, extra, version)
        reply = yield Call(wire.PREDICT, request, wire.PredictResponse)
        rows = len(inputs[signature.inputs[0].name])
        answer = self._answer(signature, reply, rows)
        if version is None and answer.version != self._newest:
            # Its signatures are looked at before anything more is sent.
            self._newest = None
        return answer

    def _request(self, signature, inputs, extra, version):
        rows = len(inputs[signature.inputs[0].name])
        request = wire.PredictRequest()
        self._fill_spec(request.model_spec, version)
        request.model_spec.signature_name = signature.name
        for entry in signature.inputs:
            wire.fill_tensor(
                request.inputs[entry.name], inputs[entry.name], entry.dtype
            )
        for name, (value, dtype) in extra.items():
            wire.fill_tensor(
                request.inputs[name], np.repeat(value, rows), dtype
            )
        return request

    def statuses(self) -> Conversation:
        """Returns (version, state's name, error) of each known version."""
        request = wire.GetModelStatusRequest()
        self._fill_spec(request.model_spec, self._version)
        reply = yield Call(
            wire.GET_MODEL_STATUS, request, wire.GetModelStatusResponse
        )
        return [
            (
                entry.version,
                wire.STATE_NAMES.get(entry.state, str(entry.state)),
                entry.status.error_message,
            )
            for entry in reply.model_version_status
        ]

    def _fill_spec(self, spec, version):
        spec.name = self._name
        if version is not None:
            spec.version.value = version

    def _extra_inputs(self, signature, definitions):
        """Checks the model's signature; returns its inputs unknown to us.

        A model exported later may have inputs that this client does not
        know; they are sent with the defaults that the model gives them.
        """
        if signature.name not in definitions:
            raise self._foreign(f"it has no signature {signature.name!r}")
        theirs = definitions[signature.name]
        _check_tensors(self, signature.inputs, theirs.inputs, "input")
        _check_tensors(self, signature.outputs, theirs.outputs, "output")
        extra = {}
        for name in set(theirs.inputs) - {e.name for e in signature.inputs}:
            if name not in theirs.defaults:
                raise self._foreign(f"its input {name!r} is unknown here")
            default = wire.to_array(theirs.defaults[name]).ravel()
            dtype = "string" if default.dtype.hasobject else default.dtype.name
            extra[name] = default[:1], dtype
        return extra

    def _fetch_signatures(self, version):
        request = wire.GetModelMetadataRequest()
        request.metadata_field.append(wire.SIGNATURE_DEF_FIELD)
        self._fill_spec(request.model_spec, version)
        reply = yield Call(
            wire.GET_MODEL_METADATA, request, wire.GetModelMetadataResponse
        )
        metadata = reply.metadata[wire.SIGNATURE_DEF_FIELD].value
        try:
            definitions = wire.SignatureDefMap.FromString(metadata)
        except wire.DecodeError:
            raise self.unusable("its metadata is damaged") from None
        answered = reply.model_spec.version.value
        # The versions of the day: two while replicas are upgraded.
        if len(self._known) >= _MAX_KNOWN:
            self._known = {}
        known = self._known[answered] = _Definitions(definitions.signature_def)
        if version is None:
            self._newest = answered
        return known

    def _foreign(self, why):
        return ServingError(
            f"Model {self._name!r} at {self._target} cannot be used "
            f"by this client: {why}.",
            code="FAILED_PRECONDITION",
            said=why,
            advice="Export it with this release's kerasrnn-export, or install "
            "the release that exported it.",
        )

    def _answer(self, signature, response, rows):
        outputs = {}
        for entry in signature.outputs:
            if entry.name not in response.outputs:
                raise self.unusable(f"output {entry.name!r} is missing")
            try:
                array = wire.to_array(response.outputs[entry.name])
            except UserError as error:
                raise self.unusable(f"{entry.name!r}: {error}") from None
            expected = _NUMPY_DTYPES[entry.dtype]
            if array.ndim != entry.rank or array.dtype != expected:
                raise self.unusable(
                    f"output {entry.name!r} is {array.dtype} of shape "
                    f"{array.shape}, expected {entry.dtype} of rank "
                    f"{entry.rank}"
                )
            if len(array) != rows:
                raise self.unusable(
                    f"output {entry.name!r} has {len(array)} rows, expected "
                    f"{rows}"
                )
            outputs[entry.name] = array
        return Answer(outputs, response.model_spec.version.value)

    def unusable(self, why: str) -> ServingError:
        """Returns the exception for an answer that breaks the contract."""
        return errors.of_answer(self._target, why)


def _check_tensors(model, ours, theirs, kind):
    for entry in ours:
        if entry.name not in theirs:
            raise model._foreign(f"it has no {kind} {entry.name!r}")
        dtype = wire.numpy_dtype(theirs[entry.name].dtype)
        if dtype != _NUMPY_DTYPES[entry.dtype]:
            raise model._foreign(
                f"its {kind} {entry.name!r} is {dtype}, expected {entry.dtype}"
            )
