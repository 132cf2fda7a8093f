"""What the client raises."""

from kerasrnn.errors import UserError


class ServingError(UserError):
    """A call that failed, or a row that the model refused.

    Attributes:
        code: The name of the gRPC status, such as "UNAVAILABLE";
            "INVALID_ARGUMENT" for a refused row.
        said: What the server said, or the transport if no server answered.
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
    """The version that a text began with, or asked for, is not served."""
