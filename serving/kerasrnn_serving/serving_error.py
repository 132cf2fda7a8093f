"""The one exception of the client: what the server said and what to do."""

import grpc

from kerasrnn.errors import UserError


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


_ADVICE = {
    grpc.StatusCode.UNAVAILABLE: "Check the address, and that the server is "
    "running (kerasrnn-serve starts one).",
    grpc.StatusCode.NOT_FOUND: "Check the model's name and version.",
    grpc.StatusCode.FAILED_PRECONDITION: "Check that the model was exported "
    "by kerasrnn-export.",
    grpc.StatusCode.UNIMPLEMENTED: "Check that the address is the gRPC port "
    "of TensorFlow Serving (8500) and not its REST port (8501).",
    grpc.StatusCode.INVALID_ARGUMENT: "Check the parameters.",
    grpc.StatusCode.UNAUTHENTICATED: "Check the token and the certificates.",
    grpc.StatusCode.PERMISSION_DENIED: "Check the token and the certificates.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "Send fewer rows a call, or try "
    "again later.",
}


def from_rpc(
    error: grpc.RpcError, *, target: str, model: str, timeout: float
) -> ServingError:
    """Returns the exception for a failed call.

    Args:
        error: What gRPC raised.
        target: The server's address.
        model: The model that was asked for.
        timeout: Seconds that the call had.
    """
    code = error.code()
    said = error.details() or ""
    advice = _ADVICE.get(code, "")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"{target} did not answer within {timeout:g} seconds."
        advice = "Give a longer timeout, or ask for less at a time."
    elif code == grpc.StatusCode.UNAVAILABLE:
        message = f"No server answers at {target} ({_sentence(said)})."
    else:
        message = (
            f"{target} answered {code.name} for model {model!r}: "
            f"{_sentence(said)}."
        )
    return ServingError(message, code=code.name, said=said, advice=advice)


def version_gone(version: int, error: ServingError) -> ServingError:
    """Returns the exception for a text whose version was let go meanwhile."""
    return ServingError(
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
