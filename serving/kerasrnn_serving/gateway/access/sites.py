"""Which website has a browser ask: without keys, none but the gateway's page.

A browser sends what any page tells it to, to this machine and its network
too. Where no key is asked for, nothing else tells such a request from others.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from kerasrnn.foundation.hosts import names_this_machine
from kerasrnn_serving.gateway.errors import ApiError

# What Sec-Fetch-Site says of a page's own requests, and of its reader's.
_OWN = ("same-origin", "none")
_PORTS = {"http": 80, "https": 443}
# Of a stranger's words, as much as is told back.
_SHOWN = 80


def refuse_other_sites(headers: Headers) -> None:
    """Refuses what a page of another site has a browser ask.

    A program that is no browser sends neither Origin nor Sec-Fetch-Site.

    Raises:
        ApiError: The page is another's.
    """
    origin = headers.get("origin", "")
    site = headers.get("sec-fetch-site")
    if site is not None:
        # A proxy may have changed the host, but not what the browser says.
        own = site in _OWN
    else:
        # No page can make a browser add the second one.
        hosts = [headers.get("host", "")]
        hosts += headers.get("x-forwarded-host", "").split(",")
        own = not origin or any(_is_of(origin, host) for host in hosts)
    if not own:
        raise ApiError(
            403,
            f"A page of another site ({origin[:_SHOWN] or 'unnamed'}) asks. "
            "Without keys, the gateway answers only its own page and programs "
            "that are no browser. Open its own page, or have its operator give "
            "it --keys; a proxy in between must pass the Host on.",
            code="other_site",
        )


def refuse_other_hosts(headers: Headers) -> None:
    """Refuses a request for a host that is not this machine by its name.

    Whoever owns a name can have it mean this machine (DNS rebinding), and then
    the pages of that name are not of another site.

    Raises:
        ApiError: The host is another.
    """
    host = headers.get("host")
    if host is None:
        # Every browser sends one.
        return
    if not names_this_machine(_name_and_port("http", host)[0]):
        raise ApiError(
            403,
            f"The request is for the host {host[:_SHOWN]!r}. Without keys, the "
            "gateway answers only to localhost, 127.0.0.1 or [::1]. Use one of "
            "these, or have its operator give it --keys, --open, or, behind a "
            "proxy, --trusted_proxy.",
            code="other_host",
        )


def _is_of(origin, host):
    scheme, _, own = origin.partition("://")
    place = _name_and_port(scheme, own)
    return bool(place[0]) and place == _name_and_port(scheme, host.strip())


def _name_and_port(scheme, host):
    """Returns (name, port) of what may be any text; the name may be empty."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "", parts.port or _PORTS.get(scheme)
    except ValueError:
        return "", None
