"""Calls that failed: what gRPC says of them, and what to tell the user."""

import logging
import os

import grpc

from kerasrnn.errors import UserError
from kerasrnn_serving.client._connection import address
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client.errors import ServingError

ADVICE = {
    grpc.StatusCode.UNAVAILABLE: "It is busy or stopping: try again later.",
    grpc.StatusCode.CANCELLED: "It is stopping: try again later.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "Give a longer timeout, or ask for "
    "less at a time.",
    grpc.StatusCode.NOT_FOUND: "Check the model's name and version.",
    grpc.StatusCode.FAILED_PRECONDITION: "Check that the model was exported "
    "by kerasrnn-export.",
    grpc.StatusCode.UNIMPLEMENTED: "Check that the address is the gRPC port "
    "of TensorFlow Serving (8500) and not its REST port (8501).",
    grpc.StatusCode.INVALID_ARGUMENT: "Check the parameters.",
    grpc.StatusCode.UNAUTHENTICATED: "Check the token and the certificates.",
    grpc.StatusCode.PERMISSION_DENIED: "Check the token and the certificates.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "Try again later, or look at the "
    "server's log.",
}
_ADVICE_FOR_OVERLOAD = (
    "It has more calls than threads for them: try again later, or give it "
    "more threads (--grpc_max_threads of TensorFlow Serving)."
)
_ADVICE_FOR_LARGE_MESSAGES = (
    "Send fewer rows per call, or allow larger messages with max_message_bytes."
)
_ADVICE_FOR_OTHERS = "Try again; if it fails again, look at the server's log."
# Of gRPC's own words where no connection came about.
_UNREACHABLE = ("connect", "resol", "dns")
# What a call may end with whose reply broke off.
BROKEN_OFF = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
)
# Of its words for a connection that came about and broke.
_LOST = (
    "broken pipe",
    "closed",
    "goaway",
    "reset",
    "rst_stream",
    "stream removed",
    "too many pings",
)
# Of its words where it has tried all of the target's addresses.
_NONE_OF_ALL = ("all addresses", "all backends")
# What gRPC's servers say, in C++ and in Python, when all their threads work.
_OVERLOAD = ("threadpool exhausted", "concurrent rpc limit exceeded")
# Where gRPC takes the public certificates from, if it is set.
_ROOTS = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
_TOO_LARGE = "larger than max"
_LOGGER = logging.getLogger("kerasrnn_serving")


def is_overload(error: grpc.RpcError) -> bool:
    """Whether the server has no thread for the call.

    A message that is too large, for one, has the same code.
    """
    said = (error.details() or "").lower()
    return error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and any(
        words in said for words in _OVERLOAD
    )


def is_unreachable(error: grpc.RpcError) -> bool:
    """Whether no server was reached."""
    said = (error.details() or "").lower()
    return error.code() == grpc.StatusCode.UNAVAILABLE and (
        not said
        or not lost_connection(error)
        and any(word in said for word in _UNREACHABLE)
    )


def is_too_large(error: ServingError) -> bool:
    """Whether a call failed because a message of it is too large."""
    return (
        error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.name
        and _TOO_LARGE in error.said.lower()
    )


def lost_connection(error: grpc.RpcError) -> bool:
    """Whether the connection broke or ends, and no call is to blame.

    gRPC connects again by itself, but a call that is sent right after a
    break may still go out over what is broken. A server that stops cancels
    what reaches it on its connections before their clients know.
    """
    said = (error.details() or "").lower()
    return error.code() == grpc.StatusCode.CANCELLED or (
        error.code() in BROKEN_OFF
        and any(sign in said for sign in _LOST)
        and not any(words in said for words in _NONE_OF_ALL)
    )


def warn(error: grpc.RpcError, target: Target) -> None:
    """Notes that the server has gone, in the log of this package.

    Args:
        error: What an attempt to reach it has ended with.
        target: What was called.
    """
    _LOGGER.warning(
        "No server answers at %s any more (%s); trying again for up to "
        "%g seconds.",
        target.address,
        sentence(error.details() or ""),
        target.timeout,
    )


def closed() -> UserError:
    """Returns the exception for a call of a client that was closed."""
    return UserError("The client is closed; make another one.")


def from_rpc(
    error: grpc.RpcError, target: Target, trouble: grpc.RpcError | None = None
) -> ServingError:
    """Returns the exception for a failed call.

    Args:
        error: What gRPC raised.
        target: What was called.
        trouble: Why its server was not reached last, where it was not: a
            call that waits for it in vain ends like one that takes too long.
    """
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and trouble:
        error = trouble
    code = error.code()
    said = error.details() or ""
    advice = ADVICE.get(code, _ADVICE_FOR_OTHERS)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        message = (
            f"{target.address} did not answer within {target.timeout:g} "
            "seconds."
        )
    elif is_unreachable(error):
        message = f"No server answers at {target.address} ({sentence(said)})."
        advice = _advice_for_unreachable(said.lower(), target)
    elif code == grpc.StatusCode.UNAVAILABLE and lost_connection(error):
        message = f"The connection to {target.address} broke: {said}."
        advice = "Try again; if it breaks again, look at the server's log."
    else:
        message = (
            f"{target.address} answered {code.name} for model "
            f"{target.model!r}: {sentence(said)}."
        )
        if is_overload(error):
            advice = _ADVICE_FOR_OVERLOAD
        elif _TOO_LARGE in said.lower():
            advice = _ADVICE_FOR_LARGE_MESSAGES
    return ServingError(message, code=code.name, said=said, advice=advice)


def _advice_for_unreachable(said: str, target: Target) -> str:
    """Returns what to do where no server answers."""
    if proxy := address.proxy_of(target.address, os.environ):
        return (
            f"Calls go through {proxy}: check it, or add the host to no_proxy "
            "to bypass it."
        )
    if target.tls is None and "socket closed" in said:
        return (
            "The other side closes the connection, as a server that expects "
            "TLS does: if it does, add TLS settings (--tls)."
        )
    if target.tls is not None and "wrong_version_number" in said:
        return (
            "The other side does not speak TLS: leave out the TLS settings if "
            "the server has none."
        )
    if target.tls is not None and ("certificate" in said or "ssl" in said):
        trusted = "--tls_ca"
        roots = os.environ.get(_ROOTS)
        if target.tls.ca is None and roots:
            trusted += f"; without it, those of {_ROOTS}={roots}"
        return (
            f"Check which certificates are trusted ({trusted}) and the name "
            "in the server's own (--tls_server_name)."
        )
    advice = (
        "Check the address, as in localhost:8500, that the server is running "
        "(kerasrnn-serve starts one)"
    )
    if target.tls is None:
        return f"{advice}, and whether it speaks TLS (--tls)."
    return f"{advice}, and that it speaks TLS."


def sentence(said: str) -> str:
    """Returns what a server said, to be part of a sentence."""
    return said.strip().rstrip(".") or "it gave no reason"
