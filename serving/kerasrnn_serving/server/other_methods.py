"""The real server's methods that an export of ours has no use for.

Classify, Regress and MultiInference want signatures over `tf.Example`, and a
new configuration wants several models. What the real server refuses is
refused with its codes and its words (`classifier.cc`, `regressor.cc`,
`multi_inference.cc`, `model_service_impl.cc`); what it would do is not done
here.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import grpc

from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn.contract import signatures
from kerasrnn_serving.server import rpc
from kerasrnn_serving.server.rpc import StatusError
from kerasrnn_serving.server.rpc import invalid

_CLASSIFY = "tensorflow/serving/classify"
_REGRESS = "tensorflow/serving/regress"
_INPUTS = "inputs"


class OtherMethods:
    """The methods, as handlers.

    Args:
        use: Of a `ModelSpec`, the context that yields its version.
        threads: Answer the calls.
    """

    def __init__(
        self,
        use: Callable[[messages.ModelSpec], AbstractContextManager[Any]],
        threads: rpc.Threads,
    ):
        self._use = use
        self._threads = threads

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """Returns the handlers by path."""
        return {
            api.CLASSIFY: self._threads.unary(
                self._single(_check_classification),
                messages.ClassificationRequest,
            ),
            api.REGRESS: self._threads.unary(
                self._single(_check_regression), messages.RegressionRequest
            ),
            api.MULTI_INFERENCE: self._threads.unary(
                self._multi_inference, messages.MultiInferenceRequest
            ),
            api.RELOAD_CONFIG: self._threads.unary(
                _reload_config, messages.ReloadConfigRequest
            ),
        }

    def _single(self, check):
        def answer(request, context):
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            with self._use(request.model_spec) as (_, servable):
                name = _signature_name(request.model_spec)
                if name not in servable.signatures:
                    raise invalid(
                        f"No signature was found with the name: {name}"
                    )
                check(servable.signatures[name])
            raise _not_here("Classify and Regress")

        return answer

    def _multi_inference(self, request, context):
        spec = messages.ModelSpec()
        if request.tasks:
            spec = request.tasks[0].model_spec
        with self._use(spec) as (_, servable):
            seen: set[str] = set()
            for task in request.tasks:
                _check_task(task, spec.name, servable.signatures, seen)
        raise _not_here("MultiInference")


def _check_task(task, model, definitions, seen):
    if not task.model_spec.name:
        raise invalid("Found ModelSpec with an empty model name.")
    if task.model_spec.name != model:
        raise invalid(
            "All ModelSpecs in a MultiInferenceRequest must access the same "
            "model name."
        )
    name = _signature_name(task.model_spec)
    if name in seen:
        raise invalid(f"Duplicate evaluation of signature: {name}")
    seen.add(name)
    if name not in definitions:
        raise invalid(f"Requested signature not found in model graph: {name}")
    if task.method_name == _CLASSIFY:
        _check_classification(definitions[name])
    elif task.method_name == _REGRESS:
        _check_regression(definitions[name])
    else:
        raise StatusError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"Unsupported signature method_name: {task.method_name}",
        )


def _check_classification(definition):
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) not in (1, 2):
        raise invalid(
            "Expected one or two output Tensors, found "
            f"{len(definition.outputs)}"
        )
    if _INPUTS not in definition.inputs:
        raise invalid(
            "No classification inputs found in SignatureDef: "
            f"{_shown(definition)}"
        )
    if not {"classes", "scores"} & set(definition.outputs):
        raise invalid(
            "Expected classification signature outputs to contain at least "
            f'one of "classes" or "scores". Signature was: {_shown(definition)}'
        )


def _check_regression(definition):
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    for side in (_INPUTS, "outputs"):
        if side not in getattr(definition, side):
            raise invalid(
                f"No regression {side} found in SignatureDef: "
                f"{_shown(definition)}"
            )


def _reload_config(request, context):
    if not request.config.HasField("model_config_list"):
        raise invalid(
            "ServerModelConfig type not supported by "
            "HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    raise _not_here("HandleReloadConfigRequest")


def _signature_name(spec):
    return spec.signature_name or signatures.DEFAULT_NAME


def _shown(definition):
    inputs = ",".join(sorted(definition.inputs))
    outputs = ",".join(sorted(definition.outputs))
    return f"inputs {{{inputs}}}, outputs {{{outputs}}}"


def _not_here(what):
    return StatusError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"{what}: not with the local server; take TensorFlow Serving.",
    )
