"""The exception for mistakes that a user can put right, and its base."""

import contextlib
from collections.abc import Iterator


class PicklableError(Exception):
    """An exception that travels whole to other processes, and is copied whole.

    By itself Python makes it anew from `args`, which are seldom what an
    `__init__` takes; and a process pool that cannot read one back hangs.
    """

    def __reduce__(self):
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(error_class, arguments, attributes):
    error = error_class.__new__(error_class, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


class UserError(PicklableError, ValueError):
    """A request that cannot be fulfilled, with the way out in its message.

    The message says what happened, what was expected and what to do, in one
    clear sentence or two. Programs print it without a traceback and exit
    with status 1.
    """


class CollectedErrors:
    """Gathers the errors of several things, to tell all of them at once.

    Args:
        what: What a list of them is of, in the plural: "files".
        limit: How many are told; the last of them is raised at once.
    """

    def __init__(self, what: str, limit: int = 10):
        self._what = what
        self._limit = limit
        self._messages: list[str] = []

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Keeps a `UserError` of the block for later.

        Raises:
            UserError: It is as many as are told.
        """
        try:
            yield
        except UserError as error:
            self._messages.append(str(error))
            if len(self._messages) == self._limit:
                self.raise_if_any()

    def raise_if_any(self) -> None:
        """Raises what was collected.

        Raises:
            UserError: Something was; the message has a line for each.
        """
        if len(self._messages) == 1:
            raise UserError(self._messages[0]) from None
        if self._messages:
            at_least = "At least " if len(self._messages) == self._limit else ""
            lines = "\n".join(f"  {message}" for message in self._messages)
            raise UserError(
                f"{at_least}{len(self._messages)} {self._what} cannot be "
                f"used:\n{lines}"
            ) from None
