"""What a server's address says, and what is on the way to it."""

import ipaddress
import re
from collections.abc import Mapping

from kerasrnn.errors import UserError
from kerasrnn.foundation.hosts import names_this_machine

# Those of gRPC. What is no host and port in them is left to it.
_SCHEMES = ("dns", "ipv4", "ipv6")
_OTHER_SCHEMES = ("unix", "unix-abstract", "vsock", "xds", "google-c2p")
# The environment variables that gRPC reads, the first one that is set counts.
_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_NO_PROXY_VARIABLES = ("no_grpc_proxy", "no_proxy")
_EXAMPLE = "give host:port, as in localhost:8500"


def check(address: str) -> None:
    """Checks that a server can be at an address.

    Raises:
        UserError: It is a URL, has no host, or has no valid port.
    """
    if not isinstance(address, str):
        raise UserError(
            f"A server's address must be text, not {address!r}; {_EXAMPLE}."
        )
    scheme = address.partition("://")[0]
    if "://" in address and scheme not in (*_SCHEMES, *_OTHER_SCHEMES):
        raise UserError(
            f"{address!r} is a URL, but the server's address has no "
            f"{scheme}:// before it and no path behind it; {_EXAMPLE}."
        )
    for host, port in _hosts(address):
        if not host or re.search(r"\s", host):
            raise UserError(
                f"{address!r} names no host that a server could be on; "
                f"{_EXAMPLE}."
            )
        if port is not None and not _is_port(port):
            raise UserError(
                f"{address!r} has the port {port!r}, and a port is a whole "
                f"number from 1 to 65535; {_EXAMPLE}."
            )


def is_loopback(address: str) -> bool:
    """Whether it is this machine's own."""
    hosts = [host for host, _ in _hosts(address)]
    return bool(hosts) and all(map(names_this_machine, hosts))


def proxy_of(address: str, environment: Mapping[str, str]) -> str | None:
    """Returns what gRPC goes through to an address; None is nothing.

    Args:
        address: The server's.
        environment: The environment's variables.

    Returns:
        A clause for messages, without a password that the proxy may need.
    """
    hosts = [host for host, _ in _hosts(address)]
    if not hosts or is_loopback(address):
        return None
    name = next((n for n in _PROXY_VARIABLES if n in environment), None)
    if name is None or not environment[name]:
        return None
    exceptions = next(
        (environment[n] for n in _NO_PROXY_VARIABLES if n in environment), ""
    )
    if any(_is_excepted(hosts[0], entry) for entry in exceptions.split(",")):
        return None
    proxy = _without_password(environment[name])
    if not proxy:
        return f"the proxy that {name} names"
    return f"the proxy {proxy}, which {name} names"


def _without_password(url: str) -> str:
    """Returns the host and port of a URL, or of what should be one."""
    # By hand: urlsplit refuses some texts, and takes what has no scheme for a
    # path, with the password in it.
    _, at, after = url.rpartition("@")
    host = after if at else re.sub(r"^[^/]*://", "", url)
    return re.split(r"[/?#]", host, maxsplit=1)[0]


def _hosts(address: str) -> list[tuple[str, str | None]]:
    """Returns (host, port) of each, None without a port; [] if unknown."""
    scheme, colon, rest = address.partition(":")
    if colon and scheme in _OTHER_SCHEMES:
        return []
    if colon and scheme in _SCHEMES:
        # As in dns://resolver/host:port and ipv4:host:port,host:port.
        address = re.sub(r"^//[^/]*/", "", rest)
    return [_host_and_port(entry) for entry in address.split(",")]


def _host_and_port(entry: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"\[([^\]]*)\](?::(.*))?|([^:]*)(?::([^:]*))?", entry)
    if match is None:
        # An address of IPv6 without a port.
        return entry, None
    if match[3] is None:
        return match[1], match[2]
    return match[3], match[4]


def _is_port(port: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,5}", port)) and 1 <= int(port) <= 65535


def _is_excepted(host: str, entry: str) -> bool:
    entry = entry.strip().lower()
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(
            entry, strict=False
        )
    except ValueError:
        return bool(entry) and host.lower().endswith(entry)
