"""grpc.health.v1 as TensorFlow Serving answers it."""

import threading

import grpc

from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn_serving.server import rpc

# Their unqualified names are what the real server's health service knows.
_SERVICES = ("", "ModelService", "PredictionService")
# Each watcher holds a thread of the server's; the others are for calls.
MAX_WATCHERS = 8
_POLL_SECONDS = 1.0


class Health:
    """Check and Watch: serving from the start until `stop`.

    Args:
        threads: Answer its calls.
    """

    def __init__(self, threads: rpc.Threads):
        self._threads = threads
        self._stopped = threading.Event()
        self._watchers = threading.Semaphore(MAX_WATCHERS)

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """Returns the handlers by path."""
        return {
            api.HEALTH_CHECK: self._threads.unary(
                self._check, messages.HealthCheckRequest
            ),
            api.HEALTH_WATCH: self._threads.stream(
                self._watch, messages.HealthCheckRequest
            ),
        }

    def stop(self) -> None:
        """Says from now on that the server does not serve."""
        self._stopped.set()

    def _response(self):
        stopped = self._stopped.is_set()
        return messages.HealthCheckResponse(
            status=api.NOT_SERVING if stopped else api.SERVING
        )

    def _check(self, request, context):
        if request.service not in _SERVICES:
            raise rpc.StatusError(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self._response()

    def _watch(self, request, context):
        if not self._watchers.acquire(blocking=False):
            raise rpc.StatusError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"More than {MAX_WATCHERS} watchers.",
            )
        try:
            if request.service not in _SERVICES:
                yield messages.HealthCheckResponse(status=api.SERVICE_UNKNOWN)
            else:
                yield self._response()
            while context.is_active():
                if self._stopped.wait(_POLL_SECONDS):
                    yield self._response()
                    return
        finally:
            self._watchers.release()
