"""What a request for a signature must have, before anything is computed.

The checks, their order and their messages follow TensorFlow Serving's
`predict_util.cc`.
"""

import heapq
from collections.abc import Collection
from collections.abc import Mapping

import numpy as np

from kerasrnn.contract import messages
from kerasrnn.contract import tensors
from kerasrnn.errors import UserError
from kerasrnn_serving.server import rpc
from kerasrnn_serving.server.rpc import invalid


class PreparedSignature:
    """A `messages.SignatureDef` as plain values, which are quicker to read.

    Attributes:
        inputs: (alias, tensor's name, DataType) of each, sorted.
        outputs: Names of tensors by alias, sorted.
        defaults: `messages.Tensor` by alias.
    """

    def __init__(self, signature: messages.SignatureDef):
        self.inputs = [
            (alias, _tensor_name(info), info.dtype)
            for alias, info in sorted(signature.inputs.items())
        ]
        self.outputs = {
            alias: _tensor_name(info)
            for alias, info in sorted(signature.outputs.items())
        }
        self.defaults = dict(signature.defaults.items())


def feeds_of(
    signature: PreparedSignature, inputs: Mapping[str, messages.Tensor]
) -> dict[str, np.ndarray]:
    """Returns arrays by the names of the tensors they are fed to.

    Args:
        signature: Of the request; its defaults are filled in.
        inputs: `messages.Tensor` by alias.

    Raises:
        StatusError: What the server answers to inputs of that kind.
    """
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
                f"Expects arg[{index}] to be {tensors.dtype_name(dtype)} "
                f"but {tensors.dtype_name(tensor.dtype)} is provided"
            )
        try:
            feeds[name] = tensors.to_array(tensor)
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


def output_aliases(
    signature: PreparedSignature, output_filter: Collection[str]
) -> list[str]:
    """Returns the aliases that a request asks for; without a filter, all.

    Raises:
        StatusError: The signature lacks one of them, or one is there twice.
    """
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


def _tensor_name(info):
    """Returns it as the runtime reads it; "" of what is not one tensor."""
    return info.name if ":" in info.name or not info.name else f"{info.name}:0"
