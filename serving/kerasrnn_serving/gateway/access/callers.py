"""Who sent a request: the holder of a key, or an address."""

from starlette.requests import Request

from kerasrnn_serving.gateway.access import sites
from kerasrnn_serving.gateway.access.keys import KeyRing
from kerasrnn_serving.gateway.access.limits import Caller
from kerasrnn_serving.gateway.access.limits import Limits
from kerasrnn_serving.gateway.errors import ApiError

_NOBODY = "unknown"


class Callers:
    """Tells requests' senders.

    Args:
        keys: That are asked for; None lets everybody in.
        limits: Of a caller without a key.
        any_host: Whether a caller without a key may name any Host, and not
            only this machine.
    """

    def __init__(self, keys: KeyRing | None, limits: Limits, any_host: bool):
        self._keys = keys
        self._limits = limits
        self._any_host = any_host

    @property
    def need_keys(self) -> bool:
        """Whether a key is asked for."""
        return self._keys is not None

    def identify(self, request: Request) -> Caller:
        """Returns who sent the request.

        Raises:
            ApiError: It has no key that is known, and needs one; or it needs
                none, and comes from another site or for another host.
        """
        if self._keys is None:
            if not self._any_host:
                sites.refuse_other_hosts(request.headers)
            sites.refuse_other_sites(request.headers)
            return Caller(address_of(request), self._limits)
        kind, _, secret = request.headers.get("authorization", "").partition(
            " "
        )
        if kind.lower() != "bearer" or not secret.strip():
            raise _unauthorized(
                "A key is needed. Send the header "
                "`Authorization: Bearer YOUR_KEY`."
            )
        key = self._keys.find(secret.strip())
        if key is None:
            raise _unauthorized("The key is unknown here, or has expired.")
        return Caller(key.name, key.limits)


def address_of(request: Request) -> str:
    """Returns the client's address."""
    return request.client.host if request.client else _NOBODY


def _unauthorized(message):
    return ApiError(
        401,
        message,
        kind="authentication_error",
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )
