"""What the gateway refuses and what fails behind it, as OpenAI's API has it."""

from collections.abc import Mapping

from kerasrnn.errors import PicklableError
from kerasrnn_serving.client import ServingError
from kerasrnn_serving.client.errors import VersionGone

INVALID_REQUEST = "invalid_request_error"
_SERVER_ERROR = "server_error"
_RETRY = {"Retry-After": "1"}


class ApiError(PicklableError):
    """A reply that is no success.

    Attributes:
        status: Of HTTP.
        message: What happened, what was expected, what to do.
        kind: The error's `type`.
        param: The parameter that is to blame, if one is.
        code: A word that programs can look for, if there is one.
        headers: To send with it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict:
        """Returns the reply's JSON object."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


def invalid(
    message: str, param: str | None = None, code: str | None = None
) -> ApiError:
    """Returns the refusal of a request that its sender has to change."""
    return ApiError(400, message, param=param, code=code)


def model_not_found(asked: str, served: str) -> ApiError:
    """Returns the refusal of a model that is not the one served."""
    return ApiError(
        404,
        f"The model {asked[:80]!r} does not exist. This gateway serves "
        f"{served!r}.",
        param="model",
        code="model_not_found",
    )


def from_serving(error: ServingError) -> ApiError:
    """Returns what a caller is told of a call that failed.

    Strangers are told neither addresses nor what to do on the server: the
    request's log line has that.
    """
    if error.row is not None:
        if "state_bytes" in error.said:
            return invalid(
                "The state belongs to another version of the model, or was "
                "damaged. Send the text so far as the prompt instead.",
                "state",
                "invalid_state",
            )
        return invalid(f"The model refused the request: {error.said}")
    if "no signature 'inspect'" in error.said:
        return invalid(
            "The model was exported without what lists alternatives; ask for "
            "logprobs=0.",
            "logprobs",
            "no_alternatives",
        )
    if isinstance(error, VersionGone):
        return _failed(
            503,
            "The version of the model that the text began with is no longer "
            "served. Send the text so far as the prompt.",
            "version_gone",
        )
    if error.code == "NOT_FOUND":
        # Repeating it is of no use, so that it has no Retry-After.
        return ApiError(
            503,
            "The model's server does not serve this model, or not yet. If it "
            "goes on, the gateway's operator has to look at --model and "
            "--model_version.",
            kind=_SERVER_ERROR,
            code="model_not_served",
        )
    if error.code == "DEADLINE_EXCEEDED":
        return _failed(
            504, "The model's server did not answer in time.", "timeout"
        )
    if error.code in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"):
        return _failed(
            503,
            "The model's server does not answer, or has too much to do. Try "
            "again shortly.",
            "server_unavailable",
        )
    return _failed(502, "The model's server failed.", "server_failed")


def _failed(status, message, code):
    headers = _RETRY if status == 503 else {}
    return ApiError(
        status, message, kind=_SERVER_ERROR, code=code, headers=headers
    )


def busy(message: str) -> ApiError:
    """Returns the refusal where the gateway itself has too much to do."""
    return _closing(message, "gateway_busy")


def stopping() -> ApiError:
    """Returns what ends a request that a stopped gateway gives up."""
    return _closing(
        "The gateway was stopped before the reply had ended. Try again "
        "shortly.",
        "gateway_stopping",
    )


def _closing(message, code):
    headers = {**_RETRY, "Connection": "close"}
    return ApiError(
        503, message, kind=_SERVER_ERROR, code=code, headers=headers
    )
