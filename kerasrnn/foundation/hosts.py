"""Which hosts are this machine."""

import ipaddress


def names_this_machine(host: str) -> bool:
    """Whether a name or an IP address means this machine, wherever it is.

    Args:
        host: Without a port and without brackets.
    """
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
