"""The one exception of the client: what the server said and what to do."""

import grpc

from kerasrnn.errors import UserError
from kerasrnn_serving.channel import Target


class ServingError(UserError):
    """A call that failed, or a row that the model refused.

    Attributes:
        code: The gRPC status' name, such as "UNAVAILABLE"; of a refused row
            "INVALID_ARGUMENT".
        said: What the server said, or the transport where none answered.
        advice: What to do.
        row: The index of the refused row; None if the whole call failed.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        said: str,
        advice: str = "",
        row: int | None = None,
    ):
        super().__init__(f"{message} {advice}".rstrip())
        self.code = code
        self.said = said
        self.advice = advice
        self.row = row


class VersionGone(ServingError):
    """The version that a text began with is no longer served."""


_ADVICE = {
    grpc.StatusCode.UNAVAILABLE: "Check the address, as in localhost:8500, "
    "and that the server is running (kerasrnn-serve starts one).",
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
    grpc.StatusCode.RESOURCE_EXHAUSTED: "Send fewer rows a call, try again "
    "later, or allow larger messages if that is what it says.",
}
_ADVICE_FOR_OTHERS = "Try again; if it fails again, look at the server's log."
# Of gRPC's own words where no connection came about.
_UNREACHABLE = ("connect", "resol", "dns")


def from_rpc(error: grpc.RpcError, target: Target) -> ServingError:
    """Returns the exception for a failed call.

    Args:
        error: What gRPC raised.
        target: What was called.
    """
    code = error.code()
    said = error.details() or ""
    advice = _ADVICE.get(code, _ADVICE_FOR_OTHERS)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        message = (
            f"{target.address} did not answer within {target.timeout:g} "
            "seconds."
        )
    elif code == grpc.StatusCode.UNAVAILABLE and _is_unreachable(said):
        message = f"No server answers at {target.address} ({_sentence(said)})."
    else:
        message = (
            f"{target.address} answered {code.name} for model "
            f"{target.model!r}: {_sentence(said)}."
        )
        if code == grpc.StatusCode.UNAVAILABLE:
            advice = "It is busy or stopping: try again later."
    return ServingError(message, code=code.name, said=said, advice=advice)


def _is_unreachable(said):
    said = said.lower()
    return not said or any(word in said for word in _UNREACHABLE)


def version_gone(version: int, error: ServingError) -> VersionGone:
    """Returns the exception for a text whose version was let go meanwhile."""
    return VersionGone(
        f"The server let go of version {version} while the text was in work.",
        code=error.code,
        said=error.said,
        advice="Start again with the newest version, or give it the text so "
        "far as a prompt.",
    )


def of_row(row: int, said: str) -> ServingError:
    """Returns the exception for a row that the model refused."""
    return ServingError(
        f"The model refused row {row}: {_sentence(said)}.",
        code=grpc.StatusCode.INVALID_ARGUMENT.name,
        said=said,
        advice="Put right what it names; the other rows are as they were.",
        row=row,
    )


def of_answer(target: str, said: str) -> ServingError:
    """Returns the exception for an answer that breaks the contract."""
    return ServingError(
        f"{target} gave an answer that cannot be used: {_sentence(said)}.",
        code=grpc.StatusCode.INTERNAL.name,
        said=said,
        advice=_ADVICE[grpc.StatusCode.FAILED_PRECONDITION],
    )


def _sentence(said):
    return said.strip().rstrip(".") or "it gave no reason"
