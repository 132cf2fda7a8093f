"""The gateway as an ASGI application: its routes, and what all have."""

import asyncio
import logging
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.routing import Router
from starlette.types import ASGIApp
from starlette.types import Message
from starlette.types import Receive
from starlette.types import Scope
from starlette.types import Send

from kerasrnn_serving.client import AsyncClient
from kerasrnn_serving.client import ServingError
from kerasrnn_serving.gateway.access.callers import Callers
from kerasrnn_serving.gateway.access.callers import address_of
from kerasrnn_serving.gateway.access.keys import KeyRing
from kerasrnn_serving.gateway.access.limits import Limits
from kerasrnn_serving.gateway.access.turns import Turns
from kerasrnn_serving.gateway.asgi import BUSY
from kerasrnn_serving.gateway.asgi import ClientLeft
from kerasrnn_serving.gateway.asgi import begins_stream
from kerasrnn_serving.gateway.asgi import end_stream
from kerasrnn_serving.gateway.asgi import send_reply
from kerasrnn_serving.gateway.asgi import skip_body
from kerasrnn_serving.gateway.completions.endpoint import Completions
from kerasrnn_serving.gateway.completions.response import as_event
from kerasrnn_serving.gateway.completions.response import to_json
from kerasrnn_serving.gateway.errors import ApiError
from kerasrnn_serving.gateway.errors import busy
from kerasrnn_serving.gateway.errors import from_serving
from kerasrnn_serving.gateway.errors import model_not_found
from kerasrnn_serving.gateway.errors import stopping
from kerasrnn_serving.gateway.page import page_routes
from kerasrnn_serving.gateway.records import PROBES
from kerasrnn_serving.gateway.records import Log
from kerasrnn_serving.gateway.records import Metrics
from kerasrnn_serving.gateway.records import Record
from kerasrnn_serving.gateway.settings import Settings

_LOGGER = logging.getLogger("kerasrnn_serving.gateway")
# So long an answer about the model's server is taken as still true: whoever
# asks more often costs it nothing.
_FRESH_SECONDS = 1.0
# A probe waits no longer.
_STATUS_SECONDS = 3.0
# The body of a request that is turned away has so long to come.
_SKIP_SECONDS = 1.0
_NO_VERSIONS = ServingError("No versions.", code="UNAVAILABLE", said="")


def make_app(
    client: AsyncClient,
    model: str,
    *,
    settings: Settings | None = None,
    keys: KeyRing | None = None,
    log: Log | None = None,
    any_host: bool = False,
) -> ASGIApp:
    """Returns the application.

    Args:
        client: Of the model's server.
        model: The model's name.
        settings: Bounds; None are the defaults.
        keys: That completions ask for; None lets everybody in.
        log: Where requests are noted; None is standard output.
        any_host: Whether requests without a key may be for any Host, and not
            only for this machine.
    """
    settings = settings or Settings()
    turns = Turns(settings.backend_calls)
    limits = Limits(requests_at_once=settings.max_requests)
    callers = Callers(keys, limits, any_host)
    information = _Information(client, model, callers, settings)
    page = page_routes()
    routes = [
        Route("/v1/models", information.models),
        Route("/v1/models/{name:path}", information.model),
        Route("/healthz", information.healthz),
        Route("/readyz", information.readyz),
        Route("/metrics", information.metrics_text),
        Route("/settings", information.settings),
        *page,
    ]
    paths = [route.path for route in routes] + ["/v1/completions"]
    information.metrics = Metrics(turns, paths)
    completions = Completions(
        client, model, callers, turns, information.metrics, settings
    )
    routes.append(Route("/v1/completions", completions, methods=["POST"]))
    router = Router(routes, default=_not_found)
    return _Recorded(router, information.metrics, log or Log())


class _Information:
    """What can be asked that generates nothing."""

    def __init__(self, client, model, callers, settings):
        self._client = client
        self._model = model
        self._callers = callers
        self._settings = settings
        self.metrics: Metrics
        self._versions = []
        self._why_none = _NO_VERSIONS
        self._asked = float("-inf")
        self._asking = asyncio.Lock()

    async def models(self, request: Request) -> Response:
        """Lists the one model."""
        self._callers.identify(request)
        return _json({"object": "list", "data": [await self._describe()]})

    async def model(self, request: Request) -> Response:
        """Describes the one model."""
        self._callers.identify(request)
        name = request.path_params["name"]
        if name != self._model:
            raise model_not_found(name, self._model)
        return _json(await self._describe())

    async def healthz(self, request: Request) -> Response:
        """Says that the gateway runs, whatever the model's server does."""
        del request
        return _json({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Says whether the model's server answers and has the model."""
        del request
        versions = await self._available()
        return _json({"status": "ok", "versions": versions})

    async def metrics_text(self, request: Request) -> Response:
        """Returns the metrics."""
        del request
        return Response(
            self.metrics.text(), media_type="text/plain; version=0.0.4"
        )

    async def settings(self, request: Request) -> Response:
        """Tells the page what it may ask for."""
        del request
        return _json(
            {
                "model": self._model,
                "needs_key": self._callers.need_keys,
                "max_tokens": self._settings.max_tokens,
                "max_prompt_characters": self._settings.max_prompt_characters,
                "max_choices": self._settings.max_choices,
            }
        )

    async def _describe(self):
        versions = await self._available()
        return {
            "id": self._model,
            "object": "model",
            "created": 0,
            "owned_by": "kerasrnn",
            "versions": versions,
        }

    async def _available(self) -> list[int]:
        """Returns the versions that the model's server has in service.

        Raises:
            ApiError: It does not answer, or has none.
        """
        async with self._asking:
            if time.monotonic() > self._asked + _FRESH_SECONDS:
                self._versions = []
                self._why_none = _NO_VERSIONS
                try:
                    async with asyncio.timeout(_STATUS_SECONDS):
                        self._versions = await self._client.versions()
                except (TimeoutError, ServingError) as error:
                    _LOGGER.info("no versions: %s", error)
                    if isinstance(error, ServingError):
                        self._why_none = error
                self._asked = time.monotonic()
                self.metrics.saw_versions(self._versions)
        found = [
            status.version
            for status in self._versions
            if status.state == "AVAILABLE"
        ]
        if not found:
            raise from_serving(self._why_none) from self._why_none
        return sorted(found)


class _Recorded:
    """Notes each request, and tells its errors in OpenAI's shape."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: Log):
        self._app = app
        self._metrics = metrics
        self._log = log

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = Record(
            method=scope["method"],
            path=scope["path"][:200],
            address=address_of(Request(scope)),
        )
        scope["kerasrnn.record"] = record
        # Without it a route answers a wrong method in words of its own.
        scope["app"] = self

        reply = _Reply(send, record, self._metrics)
        try:
            await self._answer(scope, receive, reply)
        except asyncio.CancelledError:
            # The server gives up what has not ended when it has to stop.
            await reply.fail(stopping())
        finally:
            self._metrics.observe(record)
            self._log.write(record)

    async def _answer(self, scope, receive, reply):
        record = reply.record
        try:
            if scope.get(BUSY) and record.path not in PROBES:
                await skip_body(receive, _SKIP_SECONDS)
                raise busy(
                    "The gateway has as many requests in progress as it takes. "
                    "Try again shortly."
                )
            await self._app(scope, receive, reply.send)
        except ClientLeft:
            record.left = True
        except ApiError as error:
            await reply.fail(error)
        except HTTPException as error:
            refusal = ApiError(
                error.status_code,
                "This address does not take that method.",
                code="method_not_allowed",
                headers=error.headers,
            )
            await reply.fail(refusal)
        except Exception as error:
            _LOGGER.exception("request %s failed", record.id)
            record.error = repr(error)
            if record.status is not None:
                raise
            failure = ApiError(
                500,
                f"The gateway failed; its log names {record.id}.",
                kind="server_error",
                code="gateway_failed",
            )
            await reply.fail(failure)


class _Reply:
    """The reply to one request: notes what of it is sent."""

    def __init__(self, send: Send, record: Record, metrics: Metrics):
        self.record = record
        self._send = send
        self._metrics = metrics
        self._streams = False

    async def send(self, message: Message) -> None:
        """Sends a message of ASGI."""
        if message["type"] == "http.response.start":
            self.record.status = message["status"]
            self._streams = begins_stream(message)
            identity = (b"x-request-id", self.record.id.encode())
            message["headers"] = [*message["headers"], identity]
        elif not message.get("more_body", False):
            self._streams = False
        await self._send(message)

    async def fail(self, error: ApiError) -> None:
        """Tells of an error, if nothing but a stream has begun."""
        record = self.record
        record.error = record.error or str(error.__cause__ or error)
        self._metrics.failed(error.code or error.kind)
        body = error.body()
        if record.status is None:
            await send_reply(
                self.send, error.status, to_json(body), error.headers
            )
        elif self._streams:
            await end_stream(self.send, as_event(body))


async def _not_found(scope, receive, send):
    del scope, receive, send
    raise ApiError(
        404,
        "There is nothing here. The API is at /v1/completions and /v1/models, "
        "the page at /.",
        code="not_found",
    )


def _json(fields: dict) -> Response:
    return Response(
        to_json(fields), media_type="application/json; charset=utf-8"
    )
