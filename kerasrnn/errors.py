"""The one exception type for mistakes that a user can put right."""


class UserError(ValueError):
    """A request that cannot be fulfilled, with the way out in its message.

    The message says what happened, what was expected and what to do, in one
    clear sentence or two. Programs print it without a traceback and exit
    with status 1.
    """
