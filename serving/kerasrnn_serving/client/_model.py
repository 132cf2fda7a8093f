"""One model on a server: its signatures, called on arrays.

Requests are checked against the model's own metadata before they are sent,
since a wrong one fails all requests that the server has merged with it.
"""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn.contract import signatures
from kerasrnn.contract import tensors
from kerasrnn_serving.client import _answer_errors
from kerasrnn_serving.client import _answers
from kerasrnn_serving.client._answers import Answer
from kerasrnn_serving.client._answers import ContractError
from kerasrnn_serving.client._answers import ExtraInput
from kerasrnn_serving.client._connection.conversation import Call
from kerasrnn_serving.client._connection.conversation import Conversation
from kerasrnn_serving.client._connection.conversation import Result
from kerasrnn_serving.client._connection.conversation import reply_to
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.client.results import VersionStatus

_MAX_KNOWN = 4


class Dimension(NamedTuple):
    """A dimension of a tensor, as the model's metadata has it.

    Attributes:
        size: How long it is; -1 is not known.
        name: Its name; "" where it has none.
    """

    size: int
    name: str


@dataclasses.dataclass
class _Definitions:
    """The signatures of a version, and the inputs to add to those checked."""

    by_name: Mapping[str, messages.SignatureDef]
    checked: dict[str, dict[str, ExtraInput]] = dataclasses.field(
        default_factory=dict
    )


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
        self._known: dict[int | None, _Definitions] = {}
        self._newest: int | None = None

    def call(
        self,
        signature: signatures.Signature,
        inputs: Mapping[str, Sequence[Any]],
        version: int | None = None,
    ) -> Conversation[Answer]:
        """Runs a signature on N rows.

        Args:
            signature: Which.
            inputs: A list of N values for each of its inputs.
            version: The version to ask for; None is the model's.

        Raises:
            ServingError: The call failed, or the model is not one of ours.
            VersionGone: The version that was asked for is not served.
        """
        work = self._call(signature, inputs, version)
        return (yield from self._while_served(version, work))

    def output_dimensions(
        self,
        signature: signatures.Signature,
        output: str,
        version: int | None = None,
    ) -> Conversation[list[Dimension]]:
        """Returns the dimensions of an output.

        There are none where the model does not say them.

        Args:
            signature: Whose output.
            output: Its name.
            version: The version to ask for; None is the model's.

        Raises:
            ServingError: The call failed.
            VersionGone: The version that was asked for is not served.
        """
        work = self._definitions(self._version if version is None else version)
        definitions = yield from self._while_served(version, work)
        # To look up what is not in a map of a message would put it there.
        if signature.name not in definitions.by_name:
            return []
        outputs = definitions.by_name[signature.name].outputs
        if output not in outputs:
            return []
        shape = outputs[output].tensor_shape
        return [Dimension(dim.size, dim.name) for dim in shape.dim]

    def forget_newest(self) -> None:
        """Has the newest version looked up anew, when it is called next."""
        self._newest = None

    def statuses(self) -> Conversation[list[VersionStatus]]:
        """Returns the state of each known version."""
        request = messages.GetModelStatusRequest()
        self._fill_spec(request.model_spec, self._version)
        reply = yield from reply_to(
            Call(api.GET_MODEL_STATUS, request, messages.GetModelStatusResponse)
        )
        return [
            VersionStatus(
                entry.version,
                api.STATE_NAMES.get(entry.state, str(entry.state)),
                entry.status.error_message,
            )
            for entry in reply.model_version_status
        ]

    def unusable(self, why: str) -> ServingError:
        """Returns the exception for an answer that breaks the contract."""
        return _answer_errors.unusable_answer(self._target, why)

    def _while_served(
        self, version: int | None, work: Conversation[Result]
    ) -> Conversation[Result]:
        try:
            return (yield from work)
        except ServingError as error:
            # The client's own version was never there, maybe: the server
            # says so in its words.
            if error.code != "NOT_FOUND" or version in (None, self._version):
                raise
            raise _answer_errors.version_gone(version, error) from None

    def _call(
        self,
        signature: signatures.Signature,
        inputs: Mapping[str, Sequence[Any]],
        version: int | None,
    ) -> Conversation[Answer]:
        version = self._version if version is None else version
        definitions = yield from self._definitions(version)
        extra = self._extra_inputs(signature, definitions)
        request = self._request(signature, inputs, extra, version)
        reply = yield from reply_to(
            Call(api.PREDICT, request, messages.PredictResponse)
        )
        try:
            answer = _answers.read_answer(
                signature, reply, _num_rows(signature, inputs)
            )
        except ContractError as error:
            raise self.unusable(str(error)) from None
        if version is None and answer.version != self._newest:
            # Its signatures are looked at before anything more is sent.
            self._newest = None
        return answer

    def _request(
        self,
        signature: signatures.Signature,
        inputs: Mapping[str, Sequence[Any]],
        extra: Mapping[str, ExtraInput],
        version: int | None,
    ) -> messages.PredictRequest:
        rows = _num_rows(signature, inputs)
        request = messages.PredictRequest()
        self._fill_spec(request.model_spec, version)
        request.model_spec.signature_name = signature.name
        for entry in signature.inputs:
            tensors.fill_tensor(
                request.inputs[entry.name], inputs[entry.name], entry.dtype
            )
        for name, unknown in extra.items():
            tensors.fill_tensor(
                request.inputs[name],
                np.repeat(unknown.default, rows),
                unknown.dtype,
            )
        return request

    def _fill_spec(self, spec: messages.ModelSpec, version: int | None) -> None:
        spec.name = self._name
        if version is not None:
            spec.version.value = version

    def _extra_inputs(
        self, signature: signatures.Signature, definitions: _Definitions
    ) -> dict[str, ExtraInput]:
        extra = definitions.checked.get(signature.name)
        if extra is None:
            try:
                extra = _answers.extra_inputs(signature, definitions.by_name)
            except ContractError as error:
                raise _answer_errors.foreign_model(
                    self._target, self._name, str(error)
                ) from None
            definitions.checked[signature.name] = extra
        return extra

    def _definitions(self, version: int | None) -> Conversation[_Definitions]:
        known = self._newest if version is None else version
        definitions = self._known.get(known)
        if definitions is None:
            definitions = yield from self._fetch_definitions(version)
        return definitions

    def _fetch_definitions(
        self, version: int | None
    ) -> Conversation[_Definitions]:
        request = messages.GetModelMetadataRequest()
        request.metadata_field.append(api.SIGNATURE_DEF_FIELD)
        self._fill_spec(request.model_spec, version)
        reply = yield from reply_to(
            Call(
                api.GET_MODEL_METADATA,
                request,
                messages.GetModelMetadataResponse,
            )
        )
        metadata = reply.metadata[api.SIGNATURE_DEF_FIELD].value
        try:
            definitions = messages.SignatureDefMap.FromString(metadata)
        except messages.DecodeError:
            raise self.unusable("its metadata is damaged") from None
        answered = reply.model_spec.version.value
        # The versions of the day: two while replicas are upgraded.
        if len(self._known) >= _MAX_KNOWN:
            self._known = {}
        known = self._known[answered] = _Definitions(definitions.signature_def)
        if version is None:
            self._newest = answered
        return known


def _num_rows(
    signature: signatures.Signature, inputs: Mapping[str, Sequence[Any]]
) -> int:
    return len(inputs[signature.inputs[0].name])
