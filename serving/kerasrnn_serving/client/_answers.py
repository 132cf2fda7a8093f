"""Whether a model's signatures and its answers are those of the contract."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasrnn.contract import messages
from kerasrnn.contract import signatures
from kerasrnn.contract import tensors
from kerasrnn.errors import UserError

_NUMPY_DTYPES = {
    name: np.dtype("object" if name == "string" else name)
    for name in signatures.DTYPES
}


class ContractError(UserError):
    """What is wrong with a signature or an answer."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """Outputs of a call, with the version that computed them.

    Attributes:
        outputs: Arrays by name; strings are bytes objects.
        version: The model's version.
    """

    outputs: Mapping[str, NDArray[Any]]
    version: int


@dataclasses.dataclass(frozen=True)
class ExtraInput:
    """An input that the model has and this client does not know.

    Attributes:
        default: The model's own default for it, of shape [1].
        dtype: One of the names that `tensors.fill_tensor` takes.
    """

    default: NDArray[Any]
    dtype: str


def extra_inputs(
    ours: signatures.Signature,
    definitions: Mapping[str, messages.SignatureDef],
) -> dict[str, ExtraInput]:
    """Checks the model's signature; returns its inputs unknown to us.

    A model exported later may have inputs that this client does not know;
    they are sent with the defaults that the model gives them.

    Raises:
        ContractError: The signature is not ours.
    """
    if ours.name not in definitions:
        raise ContractError(f"it has no signature {ours.name!r}")
    theirs = definitions[ours.name]
    _check_tensors("input", ours.inputs, theirs.inputs)
    _check_tensors("output", ours.outputs, theirs.outputs)
    extra = {}
    for name in set(theirs.inputs) - {entry.name for entry in ours.inputs}:
        if name not in theirs.defaults:
            raise ContractError(f"its input {name!r} is unknown here")
        default = tensors.to_array(theirs.defaults[name]).ravel()
        dtype = "string" if default.dtype.hasobject else default.dtype.name
        extra[name] = ExtraInput(default[:1], dtype)
    return extra


def _check_tensors(
    kind: str,
    ours: tuple[signatures.Input, ...] | tuple[signatures.Output, ...],
    theirs: Mapping[str, messages.TensorInfo],
) -> None:
    for entry in ours:
        if entry.name not in theirs:
            raise ContractError(f"it has no {kind} {entry.name!r}")
        dtype = tensors.numpy_dtype(theirs[entry.name].dtype)
        if dtype != _NUMPY_DTYPES[entry.dtype]:
            raise ContractError(
                f"its {kind} {entry.name!r} is {dtype}, expected {entry.dtype}"
            )


def read_answer(
    signature: signatures.Signature,
    response: messages.PredictResponse,
    rows: int,
) -> Answer:
    """Returns what a reply says.

    Args:
        signature: That was called.
        response: The reply.
        rows: N, that it must have.

    Raises:
        ContractError: An output is missing, or not what it must be.
    """
    outputs = {}
    for entry in signature.outputs:
        if entry.name not in response.outputs:
            raise ContractError(f"output {entry.name!r} is missing")
        try:
            array = tensors.to_array(response.outputs[entry.name])
        except UserError as error:
            raise ContractError(f"{entry.name!r}: {error}") from None
        expected = _NUMPY_DTYPES[entry.dtype]
        if array.ndim != entry.rank or array.dtype != expected:
            raise ContractError(
                f"output {entry.name!r} is {array.dtype} of shape "
                f"{array.shape}, expected {entry.dtype} of rank {entry.rank}"
            )
        if len(array) != rows:
            raise ContractError(
                f"output {entry.name!r} has {len(array)} rows, expected {rows}"
            )
        outputs[entry.name] = array
    return Answer(outputs, response.model_spec.version.value)
