"""What the client raises."""

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


class VersionGone(ServingError):
    """The version that a text began with is no longer served."""
