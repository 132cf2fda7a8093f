"""Addresses to listen on: whether one is free, and what to say if not."""

import contextlib
import ipaddress
import socket

from kerasrnn.errors import UserError


def check_can_listen(host: str, port: int) -> None:
    """Checks that an address of the host has the port free.

    Raises:
        UserError: None has, or it is no address of this machine.
    """
    if not _can_listen(host, port):
        raise cannot_listen(host, port)


def cannot_listen(host: str, port: int) -> UserError:
    """Returns what tells that an address cannot be listened on."""
    return UserError(
        f"Cannot listen on {address_of(host, port)}: the port is taken or the "
        "address is not this machine's. Give another --port (0 chooses a "
        "free one) or --host."
    )


def address_of(host: str, port: int) -> str:
    """Returns the address as gRPC takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reached_at(host: str, port: int) -> str:
    """Returns the address at which this machine reaches what listens there.

    It is the same but for "every network", which is no address to call.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return address_of(host, port)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return address_of(host, port)


def _can_listen(host, port):
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, address in addresses:
        with (
            contextlib.suppress(OSError),
            socket.socket(family, kind, protocol) as probe,
        ):
            # As gRPC binds: what is still closing is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return True
    return False
