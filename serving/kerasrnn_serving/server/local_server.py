"""A small gRPC server for one machine, where TensorFlow Serving is not.

It answers Predict, GetModelMetadata, GetModelStatus and grpc.health.v1 with
the codes and messages of `tensorflow_model_server`, so that what works here
works there. It merges waiting calls as that server does, and has nothing that
the real one lacks except its limits. Use TensorFlow Serving in production.
"""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc

from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn.errors import UserError
from kerasrnn.foundation.signals import StopSignals
from kerasrnn_serving.server import rpc
from kerasrnn_serving.server.health import MAX_WATCHERS
from kerasrnn_serving.server.health import Health
from kerasrnn_serving.server.limits import Batching
from kerasrnn_serving.server.limits import Limits
from kerasrnn_serving.server.listening import address_of
from kerasrnn_serving.server.listening import cannot_listen
from kerasrnn_serving.server.listening import check_can_listen
from kerasrnn_serving.server.model_versions import InUse
from kerasrnn_serving.server.model_versions import ModelVersions
from kerasrnn_serving.server.model_versions import not_found
from kerasrnn_serving.server.other_methods import OtherMethods
from kerasrnn_serving.server.rpc import StatusError
from kerasrnn_serving.server.rpc import invalid
from kerasrnn_serving.server.work import RUNNING
from kerasrnn_serving.server.work import Work

_POLL_SECONDS = 1.0
_DRAIN_SECONDS = 30.0
_SPARE_THREADS = 8
_DEFAULT_LIMITS = Limits()


class LocalServer:
    """The services over one model; `start` listens, `stop` drains.

    Args:
        versions: The model's versions.
        credentials: Of TLS; None listens without.
        limits: What it does at most.
    """

    def __init__(
        self,
        versions: ModelVersions,
        credentials: grpc.ServerCredentials | None = None,
        limits: Limits = _DEFAULT_LIMITS,
    ):
        self._versions = versions
        self._credentials = credentials
        self._limits = limits
        self._deadlines = rpc.Deadlines()
        self._work = Work(limits.calls, RUNNING, self._deadlines)
        # More threads than calls of Predict may hold: whatever else is asked
        # is answered at once.
        threads = self._threads(limits.calls)
        # Its own, so that no other call, whatever it does, is in its way.
        self._health = Health(self._threads(MAX_WATCHERS))
        self._server = grpc.server(
            threads.pool,
            options=[
                ("grpc.max_receive_message_length", limits.message_bytes),
                ("grpc.max_send_message_length", limits.message_bytes),
                # A second server on the port would take half of the calls.
                ("grpc.so_reuseport", 0),
            ],
        )
        handlers = {
            api.PREDICT: threads.unary(self._predict, messages.PredictRequest),
            api.GET_MODEL_METADATA: threads.unary(
                self._metadata, messages.GetModelMetadataRequest
            ),
            api.GET_MODEL_STATUS: threads.unary(
                self._status, messages.GetModelStatusRequest
            ),
            **self._health.handlers(),
            **OtherMethods(self.use, threads).handlers(),
        }
        self._server.add_generic_rpc_handlers([rpc.Handlers(handlers)])

    def _threads(self, held):
        return rpc.Threads(
            held + _SPARE_THREADS, self._limits.seconds, self._deadlines
        )

    def start(self, host: str, port: int) -> int:
        """Listens and returns the port, which the system chooses for 0.

        Raises:
            UserError: The address is taken or cannot be listened on.
        """
        # If it cannot work, gRPC would also print a message of its own.
        check_can_listen(host, port)
        bound = 0
        with contextlib.suppress(RuntimeError):
            bound = self._add_port(address_of(host, port))
        if not bound:
            raise cannot_listen(host, port)
        self._server.start()
        return bound

    def _add_port(self, address):
        if self._credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._credentials)

    def stop(self, grace: float = _DRAIN_SECONDS) -> None:
        """Takes no new calls, waits for those in progress, then closes.

        Args:
            grace: Seconds after which calls still running are cut off.
        """
        self._health.stop()
        self._server.stop(grace).wait()
        self._deadlines.close()
        self._versions.stop()

    def _predict(self, request, context):
        seconds = self._limits.seconds
        # None where the client sets no deadline.
        seconds = min(context.time_remaining() or seconds, seconds)
        with (
            self._work.turn(context, seconds) as call,
            self.use_of(request) as (version, servable),
        ):
            self._check_rows(request)
            response = servable.predict(request, call)
        response.model_spec.version.value = version
        return response

    def _check_rows(self, request):
        for name, tensor in request.inputs.items():
            dimensions = tensor.tensor_shape.dim
            if dimensions and dimensions[0].size > self._limits.rows:
                raise invalid(
                    f"{name} has {dimensions[0].size} rows; this server takes "
                    f"at most {self._limits.rows} a call (--max_rows)."
                )

    def use_of(self, request: Any) -> AbstractContextManager[InUse]:
        """Returns the context of the version that a request asks for.

        Raises:
            StatusError: It does not say which, or it is not in service.
        """
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        return self.use(request.model_spec)

    def use(self, spec: messages.ModelSpec) -> AbstractContextManager[InUse]:
        """Returns the context of the version that a `ModelSpec` asks for.

        Raises:
            StatusError: It does not say which, or it is not in service.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        choice = spec.WhichOneof("choice")
        if choice == "version_label":
            raise invalid(
                f"Unrecognized servable version label: {spec.version_label}"
            )
        version = spec.version.value if choice == "version" else None
        if spec.name != self._versions.name:
            raise not_found(spec.name, version)
        return self._versions.use(version)

    def _metadata(self, request, context):
        if not request.metadata_field:
            raise invalid(
                "GetModelMetadataRequest must specify at least one "
                "metadata_field"
            )
        for field in request.metadata_field:
            if field != api.SIGNATURE_DEF_FIELD:
                raise invalid(f"Metadata field {field} is not supported")
        response = messages.GetModelMetadataResponse()
        definitions = messages.SignatureDefMap()
        with self.use_of(request) as (version, servable):
            for name, definition in servable.signatures.items():
                definitions.signature_def[name].CopyFrom(definition)
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version
        metadata = response.metadata[api.SIGNATURE_DEF_FIELD]
        metadata.type_url = api.SIGNATURE_DEF_MAP_URL
        metadata.value = definitions.SerializeToString()
        return response

    def _status(self, request, context):
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec = request.model_spec
        statuses = self._versions.statuses()
        if spec.name != self._versions.name or not statuses:
            raise StatusError(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find any versions of model {spec.name}",
            )
        if spec.WhichOneof("choice") == "version":
            wanted = spec.version.value
            statuses = [entry for entry in statuses if entry.version == wanted]
            if not statuses:
                raise StatusError(
                    grpc.StatusCode.NOT_FOUND,
                    f"Could not find version {wanted} of model {spec.name}",
                )
        response = messages.GetModelStatusResponse()
        for entry in statuses:
            status = response.model_version_status.add(
                version=entry.version, state=entry.state
            )
            status.status.error_code = entry.code
            status.status.error_message = entry.message
        return response


def open_versions(
    name: str,
    directory: Path,
    allowed_operations: Collection[str] = (),
    batching: Batching = _DEFAULT_LIMITS.batching,
) -> ModelVersions:
    """Returns the model's versions, the newest one loaded.

    Args:
        name: The model's.
        directory: Holds the versions.
        allowed_operations: Those that a version may have in addition to
            those of kerasrnn-export's exports; "*" is any.
        batching: How calls that wait are merged.

    Raises:
        UserError: There is no version, or the newest does not load.
        ModuleNotFoundError: TensorFlow is not installed.
    """
    # TensorFlow takes seconds to import.
    from kerasrnn_serving.server.servable import Servable

    versions = ModelVersions(
        name,
        directory,
        lambda path: Servable(path, allowed_operations, batching),
    )
    versions.poll()
    if versions.version is None:
        status, *_ = versions.statuses()
        raise UserError(
            f"Version {status.version} in {directory} does not load: "
            f"{status.message} Export the model again with kerasrnn-export."
        )
    return versions


def serve(
    name: str,
    export_dir: Path,
    host: str,
    port: int,
    limits: Limits = _DEFAULT_LIMITS,
    allowed_operations: Collection[str] = (),
) -> int:
    """Serves until SIGTERM or SIGINT, then drains; returns the exit status.

    A second signal ends it at once.

    Args:
        name: The model's.
        export_dir: Holds the versions.
        host: Address to listen on.
        port: Of gRPC; 0 takes a free one.
        limits: What the server does at most.
        allowed_operations: As `open_versions` takes them.

    Raises:
        UserError: There is nothing to serve, or nowhere to listen.
    """
    # Known before the versions are loaded, which takes a while.
    check_can_listen(host, port)
    # TensorFlow's loader calls itself deprecated; real servers use it, too.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    versions = open_versions(
        name, export_dir, allowed_operations, limits.batching
    )
    signals = StopSignals()
    server = LocalServer(versions, limits=limits)
    address = address_of(host, server.start(host, port))
    versions.start_polling(_POLL_SECONDS)
    print(
        f"Serving version {versions.version} of {name} at {address} "
        "(local server, for one machine; Ctrl-C stops it).",
        flush=True,
    )
    signals.wait()
    print(
        f"Draining for at most {_DRAIN_SECONDS:g} seconds.",
        file=sys.stderr,
        flush=True,
    )
    threading.Thread(target=_exit_on_next, args=[signals], daemon=True).start()
    server.stop()
    return 0


def _exit_on_next(signals):
    signals.wait()
    os._exit(1)
