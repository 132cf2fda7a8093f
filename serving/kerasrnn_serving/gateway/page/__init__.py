"""The page: static files, and the headers that keep it from all else."""

from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# Nothing but these files and this gateway: no address outside, no script or
# style in the HTML itself, no frame around it.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def page_routes() -> list[Route]:
    """Returns a route for each file of the page; index.html is at /."""
    return [
        _route(entry.name, entry.read_bytes())
        for entry in resources.files(__name__).iterdir()
        if entry.name.rpartition(".")[2] in _TYPES
    ]


def _route(name, content):
    kind = _TYPES[name.rpartition(".")[2]]

    async def file(request: Request) -> Response:
        del request
        return Response(content, media_type=kind, headers=_HEADERS)

    path = "/" if name == "index.html" else f"/page/{name}"
    return Route(path, file)
